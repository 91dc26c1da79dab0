"""The end of a run: its last write, ever."""

from typing import Any

import pytest

from tests.builders import a_powertool, a_snapshot
from toe.api.powertool import PowerToolStatus, Target
from toe.plan.actions import WriteStatus
from toe.plan.conditions import is_true
from toe.plan.ending import finish


def _end(*states: str, **spec: Any) -> PowerToolStatus:
    targets = tuple(
        Target(pod=f"p{i}", pod_uid=f"u{i}", container="app", state=s, reason="ToolFailed", message="exit code 2")  # type: ignore[arg-type]
        for i, s in enumerate(states)
    )
    snapshot = a_snapshot(a_powertool(**spec))
    (write, _) = finish(snapshot, snapshot.request.run.status, targets).actions
    assert isinstance(write, WriteStatus)
    return write.status


@pytest.mark.parametrize(
    ("states", "spec", "phase"),
    [
        (["Succeeded", "Succeeded"], {}, "Completed"),
        (["Succeeded", "Failed"], {}, "Failed"),
        (["Gone"], {}, "Failed"),
        (["Succeeded"], {"cancel": True}, "Completed"),
        (["Succeeded", "Refused"], {"cancel": True}, "Canceled"),
        ([], {"cancel": True}, "Canceled"),
    ],
)
def test_completed_means_every_target_succeeded(states: list[str], spec: dict[str, Any], phase: str) -> None:
    """Anything else failed, unless it was canceled; the end is final in each case."""
    status = _end(*states, **spec)
    assert status.phase == phase
    assert is_true(status.conditions, "Finished")
    assert is_true(status.conditions, "Completed") is (phase == "Completed")
    assert is_true(status.conditions, "Failed") is (phase == "Failed")


def test_a_failure_says_how_many_and_the_first_cause() -> None:
    """In one sentence."""
    assert _end("Succeeded", "Failed", "Failed").last_error == "2 of 3 targets failed: p1: ToolFailed: exit code 2"
