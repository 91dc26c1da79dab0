"""What the webhook counts."""

from toe.webhook.counters import Counters


def test_answers_are_counted_by_path_and_outcome_and_time() -> None:
    """In the text format, with the gauges of the moment."""
    counters = Counters()
    counters.answered("/validate-powertool", "refused", 0.004)
    counters.answered("/validate-powertool", "refused", 0.2)
    lines = counters.text(catalog_is_current=1.0).splitlines()
    assert 'toe_webhook_reviews_total{path="/validate-powertool",outcome="refused"} 2' in lines
    assert 'toe_webhook_review_seconds_bucket{le="0.0025"} 0' in lines
    assert 'toe_webhook_review_seconds_bucket{le="0.005"} 1' in lines
    assert 'toe_webhook_review_seconds_bucket{le="+Inf"} 2' in lines
    assert "toe_webhook_review_seconds_count 2" in lines
    assert "toe_catalog_is_current 1" in lines
