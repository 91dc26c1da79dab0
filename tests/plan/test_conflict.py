"""Which pod is taken by which run, and who goes first."""

from tests.builders import a_config, a_pod, a_powertool, a_rival, a_snapshot
from toe.plan.conflict import find_conflict, unless_known

TAKEN = "Pod web-1 is already being profiled by PowerTool other"


def test_a_pod_that_another_run_holds_is_taken() -> None:
    """In exactly these words; a pod of nobody is free."""
    snapshot = a_snapshot(rivals=(a_rival("other", "web-1"),))
    assert find_conflict(snapshot, a_config(), [a_pod()]) == TAKEN
    assert find_conflict(snapshot, a_config(), [a_pod("web-2")]) == ""


def test_the_strictest_tool_decides_how_many_share_a_pod() -> None:
    """Two that accept company share it; one that does not is alone."""
    roomy = a_config(limits={"maxConcurrentPerPod": 2})
    kind = a_snapshot(rivals=(a_rival("other", "web-1", max_concurrent=2),))
    strict = a_snapshot(rivals=(a_rival("other", "web-1", max_concurrent=1),))
    assert find_conflict(kind, roomy, [a_pod()]) == ""
    assert find_conflict(strict, roomy, [a_pod()]) == TAKEN


def test_the_same_holder_is_no_news() -> None:
    """What the status says already stays while one and the same run holds the pods."""
    condition = {"type": "Conflicted", "status": "True", "reason": "ConflictDetected", "message": TAKEN}
    run = a_powertool(status={"phase": "Conflicted", "conditions": [condition]})
    assert unless_known(run, TAKEN.replace("web-1", "web-2")) == TAKEN
    assert unless_known(run, TAKEN.replace("other", "third")).endswith("third")
    assert unless_known(a_powertool(), TAKEN) == TAKEN
