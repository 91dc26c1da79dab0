"""What the collector counts."""

from toe.collector.counters import Counters


def test_answers_bytes_and_alarms_are_counted() -> None:
    """Beside the gauges of this moment."""
    counters = Counters()
    for _ in range(2):
        counters.answered("/v1/claim", 409, "TicketClaimed")
    counters.security("TicketClaimed")
    counters.bytes += 7
    text = counters.text(sessions=3)
    assert 'toe_collector_answers_total{path="/v1/claim",status="409",reason="TicketClaimed"} 2\n' in text
    assert 'toe_collector_security_events_total{reason="TicketClaimed"} 1\n' in text
    assert "toe_collector_chunk_bytes_total 7\n" in text
    assert "toe_collector_sessions 3\n" in text
