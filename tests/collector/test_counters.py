"""What the collector counts."""

from toe.collector.counters import Counters
from toe.kube.metrics import Metrics


def test_answers_bytes_and_alarms_are_counted() -> None:
    """In the text format."""
    metrics = Metrics()
    counters = Counters(metrics)
    for _ in range(2):
        counters.answered("/v1/claim", 409, "TicketClaimed")
    counters.security("TicketClaimed")
    counters.came(7)
    text = metrics.text().decode()
    assert 'toe_collector_answers_total{path="/v1/claim",reason="TicketClaimed",status="409"} 2.0\n' in text
    assert 'toe_collector_security_events_total{reason="TicketClaimed"} 1.0\n' in text
    assert "toe_collector_chunk_bytes_total 7.0\n" in text
