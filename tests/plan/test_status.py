"""The parts of a run's status."""

from tests.builders import a_config, a_powertool, a_snapshot, at, when
from toe.api.powertool import PowerToolStatus, Target
from toe.api.reasons import Reason
from toe.plan.status import counted, current, selected, used, with_conditions


def _targets(*states: str) -> tuple[Target, ...]:
    return tuple(Target(pod=f"p{i}", pod_uid=f"u{i}", container="app", state=s) for i, s in enumerate(states))  # type: ignore[arg-type]


def test_targets_are_counted_by_where_they_stand() -> None:
    """Failed, refused and gone are all failures; what is on the way is neither."""
    status = counted(PowerToolStatus(), _targets("Succeeded", "Failed", "Refused", "Gone", "Running", "Prepared"))
    assert (status.selected_pods, status.completed_pods, status.failed_pods) == (6, 1, 3)


def test_a_status_speaks_of_the_present_generation() -> None:
    """And of the config as it was judged."""
    assert current(a_powertool({"generation": 4})).observed_generation == 4
    snapshot = a_snapshot()
    found = used(snapshot, a_config())
    assert (found.name, found.tier) == ("aperf-config", "Low")
    assert found.digest == snapshot.request.configs[0].readiness.digest


def test_conditions_carry_truth_reason_and_message() -> None:
    """With the time of the snapshot."""
    status = with_conditions(PowerToolStatus(), a_snapshot(now=at(9)), Failed=(True, Reason.FAILED, "it did"))
    (condition,) = status.conditions
    assert (condition.type, condition.status, condition.reason) == ("Failed", "True", "Failed")
    assert (condition.message, condition.last_transition_time) == ("it did", when(9))


def test_people_read_how_many_pods_a_run_has() -> None:
    """And how many of them no tool enters."""
    assert selected(_targets("Prepared"), a_config()) == "1 pod selected for aperf"
    assert selected(_targets("Prepared", "Refused"), a_config()) == "2 pods selected for aperf, 1 refused"
