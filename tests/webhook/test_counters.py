"""What the webhook counts."""

from toe.kube.metrics import Metrics
from toe.webhook.counters import Counters


def test_answers_are_counted_by_path_and_outcome_and_time() -> None:
    """In the text format."""
    metrics = Metrics()
    counters = Counters(metrics)
    counters.answered("/validate-powertool", "refused", 0.004)
    counters.answered("/validate-powertool", "refused", 0.2)
    lines = metrics.text().decode().splitlines()
    assert 'toe_webhook_reviews_total{outcome="refused",path="/validate-powertool"} 2.0' in lines
    assert 'toe_webhook_review_seconds_bucket{le="0.0025"} 0.0' in lines
    assert 'toe_webhook_review_seconds_bucket{le="0.005"} 1.0' in lines
    assert 'toe_webhook_review_seconds_bucket{le="+Inf"} 2.0' in lines
    assert "toe_webhook_review_seconds_count 2.0" in lines
