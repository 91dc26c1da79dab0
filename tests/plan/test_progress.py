"""Progress of a run whose targets are frozen; the golden plans show each stage whole."""

from tests.builders import a_pod, a_powertool, a_snapshot, at, when
from toe.plan.actions import AddEphemeralContainer, Plan
from toe.plan.container import container_name
from toe.plan.progress import next_look, progress

TARGET = {
    "pod": "web-1",
    "podUID": "uid-web-1",
    "container": "app",
    "state": "Prepared",
    "toolContainer": container_name("aperf", "run-1", "uid-web-1"),
    "targetContainerID": "containerd://c1",
}
FROZEN = a_powertool(
    status={"phase": "Pending", "startedAt": when(0), "notAfter": when(640), "selectedPods": 1, "targets": [TARGET]}
)


def _progress(seconds: float) -> Plan:
    return progress(a_snapshot(FROZEN, [a_pod()], now=at(seconds)))


def test_a_container_that_is_missing_is_added_again_under_the_same_name() -> None:
    """After a crash between freezing and injecting."""
    (action,) = _progress(1).actions
    assert isinstance(action, AddEphemeralContainer)
    assert action.container.name == TARGET["toolContainer"]


def test_nothing_is_added_after_the_start_deadline() -> None:
    """Then the target has failed, and the run with it."""
    assert not any(isinstance(action, AddEphemeralContainer) for action in _progress(301).actions)


def test_time_is_looked_at_again_when_it_may_change_something() -> None:
    """A target that is not in yet: at the start deadline."""
    snapshot = a_snapshot(FROZEN, [a_pod()], now=at(1))
    assert next_look(snapshot, FROZEN.status.targets) == at(300)
