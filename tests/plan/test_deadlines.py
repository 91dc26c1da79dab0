"""When time alone decides about a run."""

from tests.builders import a_powertool, a_snapshot, at, when
from toe.plan.deadlines import limit_of, not_after, start_of


def test_no_tool_outlives_its_start_warmup_duration_and_grace() -> None:
    """10 minutes to start, then what the user asked for, then 10 s to end."""
    run = a_powertool(tool={"duration": "30s", "warmup": "5s"})
    assert not_after(run, at(0), a_snapshot(run)) == at(600 + 5 + 30 + 10)


def test_what_is_written_down_counts() -> None:
    """A later pass reads the start and the limit from the status, and does without where they are lost."""
    written = a_powertool(status={"startedAt": when(7), "notAfter": when(77)})
    assert (start_of(a_snapshot(written)), limit_of(a_snapshot(written))) == (at(7), at(77))
    lost = a_snapshot(a_powertool(), now=at(3))
    assert start_of(lost) == at(3)
    assert limit_of(lost) == at(3 + 640)
