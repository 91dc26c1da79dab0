"""What somebody should look at."""

from datetime import timedelta
from typing import Any

from structlog.testing import capture_logs

from tests.collector.uploading import NOW, a_ticket
from toe.collector.alarm import BURST, Alarm
from toe.collector.claims import claim_of
from toe.collector.counters import Counters
from toe.kube.metrics import Metrics


class Recorder:
    """Takes events."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def record(self, regarding: Any, **event: Any) -> None:
        self.events.append({"regarding": regarding, **event})


def test_a_ticket_that_two_wanted_is_told_never_too_often() -> None:
    """In the log and on the run; every one is counted, and nothing says the ticket or a session."""
    recorder, metrics, clock = Recorder(), Metrics(), [NOW]
    alarm = Alarm(Counters(metrics), recorder, lambda: clock[-1])  # type: ignore[arg-type]
    ticket = a_ticket()
    claim = claim_of(ticket, "s" * 64, NOW, "10.0.0.1")
    with capture_logs() as logs:
        for _ in range(BURST + 5):
            alarm.ticket_claimed(claim, "10.0.0.9")
        assert len(logs) == len(recorder.events) == BURST
        clock.append(NOW + timedelta(minutes=2))
        alarm.ticket_claimed(claim, "10.0.0.9")
    assert len(logs) == BURST + 1
    assert f'{{reason="TicketClaimed"}} {BURST + 6}.0\n' in metrics.text().decode()
    assert (logs[0]["event"], logs[0]["run"], logs[0]["pod"]) == ("security", ticket.run, ticket.pod)
    assert (logs[0]["peer"], logs[0]["claimed_from"]) == ("10.0.0.9", "10.0.0.1")
    event = recorder.events[0]
    assert (event["type"], event["reason"], event["regarding"].uid) == ("Warning", "TicketClaimed", ticket.run_uid)
    said = str((logs, recorder.events))
    assert ticket.id not in said
    assert "s" * 64 not in said
    assert claim.session not in said
