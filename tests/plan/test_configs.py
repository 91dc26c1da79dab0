"""The next step of a PowerToolConfig: its status, for people."""

import msgspec

from tests.builders import a_config, a_config_snapshot, at
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.reasons import Reason
from toe.plan.actions import Plan, RecordEvent, WriteConfigStatus
from toe.plan.configs import plan_config
from toe.plan.snapshot import ConfigSnapshot


def _write(plan: Plan) -> WriteConfigStatus:
    assert isinstance(plan.actions[0], WriteConfigStatus)
    return plan.actions[0]


def _written(snapshot: ConfigSnapshot) -> PowerToolConfig:
    return msgspec.structs.replace(snapshot.config, status=_write(plan_config(snapshot)).status)


def _events(plan: Plan) -> list[tuple[str, str, str]]:
    return [(e.type, e.reason, e.message) for e in plan.actions if isinstance(e, RecordEvent)]


def test_a_valid_config_is_ready_and_says_what_it_is() -> None:
    """Tier, reach, level, digest and findings are there for people."""
    snapshot = a_config_snapshot(a_config(image="aperf:v1"))
    plan = plan_config(snapshot)
    status = _write(plan).status
    (ready,) = status.conditions
    assert (ready.type, ready.status, ready.reason) == ("Ready", "True", "Valid")
    assert (status.tier, status.reach, status.pod_security_level) == ("Low", ("memory",), "restricted")
    assert status.digest == snapshot.readiness.digest
    assert [finding.reason for finding in status.findings] == ["ImageNotPinned"]
    assert status.observed_generation == 1
    assert _events(plan) == [("Normal", "Valid", "PowerToolConfig is valid and ready for use")]


def test_a_status_that_says_it_all_is_not_written_again() -> None:
    """The second look at the same config does nothing, at whatever time."""
    written = _written(a_config_snapshot())
    assert plan_config(a_config_snapshot(written, now=at(60))) == Plan()


def test_everything_that_is_wrong_is_in_the_message() -> None:
    """The reason is the first thing wrong, the message all of them."""
    config = a_config(security={"capabilities": {"add": ["X"], "drop": ["ALL"]}}, command=["--user-args--"])
    plan = plan_config(a_config_snapshot(config))
    (ready,) = _write(plan).status.conditions
    assert (ready.status, ready.reason) == ("False", "UnknownCapability")
    assert "; spec.command[0]: " in ready.message
    assert [(kind, reason) for kind, reason, _ in _events(plan)] == [("Warning", "UnknownCapability")]


def test_a_name_that_several_hold_makes_each_of_them_unusable() -> None:
    """The message names the others."""
    plan = plan_config(a_config_snapshot(a_config(), "aperf-config", "b", "a"))
    (ready,) = _write(plan).status.conditions
    assert (ready.status, ready.reason) == ("False", "AmbiguousTool")
    assert ready.message == "the tool name aperf is also held by a, b: none of them is used"


def test_a_change_of_security_is_told() -> None:
    """Whoever watches the config sees from what to what."""
    written = _written(a_config_snapshot())
    security = {"allowPrivileged": True, "runAsRoot": True}
    changed = a_config({"generation": 2}, security=security, allowedNamespaces=["a"])
    config = msgspec.structs.replace(changed, status=written.status)
    plan = plan_config(a_config_snapshot(config, now=at(60)))
    kind, reason, message = _events(plan)[-1]
    assert (kind, reason) == ("Warning", Reason.SECURITY_CHANGED)
    assert message.startswith(
        "changed from tier Low, reach memory, level restricted to tier Extreme, reach memory+traffic+node, level "
        "privileged; digest sha256:"
    )
    (ready,) = _write(plan).status.conditions
    assert ready.observed_generation == 2
    assert ready.last_transition_time == written.status.conditions[0].last_transition_time


def test_a_tool_that_sees_nothing_is_said_to_see_none() -> None:
    """An empty reach has a word."""
    written = _written(a_config_snapshot(a_config(security={"runAsRoot": True})))
    again = msgspec.structs.replace(a_config(), status=written.status)
    assert "reach none" in _events(plan_config(a_config_snapshot(again)))[-1][2]


def test_a_new_generation_of_the_same_words_is_written_once_more() -> None:
    """observedGeneration moves; no event is told twice."""
    written = _written(a_config_snapshot())
    next_one = a_config({"generation": 2})
    plan = plan_config(a_config_snapshot(msgspec.structs.replace(next_one, status=written.status)))
    assert _write(plan).status.observed_generation == 2
