"""The tool is not more dangerous in this pod than the requester may use."""

from tests.builders import a_config, a_pod, a_target_request
from toe.api.meta import GROUP
from toe.api.reasons import Reason
from toe.policy.access import Question
from toe.policy.checks.target_tier_permitted import check

TRACER = a_config(security={"capabilities": {"drop": ["ALL"], "add": ["SYS_PTRACE"]}, "runAsRoot": True})
SHARED = a_pod(spec={"shareProcessNamespace": True})
USE = Question("use", "powertoolconfigs", "production", "aperf", GROUP)


def test_allows_a_pod_in_which_the_tool_keeps_its_tier() -> None:
    """No further right is needed there."""
    assert check(a_target_request(config=TRACER, tier="Medium")) == ()


def test_allows_who_may_use_the_higher_tier() -> None:
    """The right is asked by what the tool becomes."""
    assert check(a_target_request(SHARED, config=TRACER, tier="Medium", access={USE: True})) == ()


def test_denies_who_may_not() -> None:
    """SYS_PTRACE reaches every container of a pod that shares its processes."""
    (answer,) = check(a_target_request(SHARED, config=TRACER, tier="Medium", access={USE: False}))
    assert answer.reason == Reason.USE_NOT_GRANTED
    assert "tier High in this pod" in answer.message


def test_denies_where_nobody_answered() -> None:
    """A pod is never undecided: the run waits before that."""
    assert check(a_target_request(SHARED, config=TRACER, tier="Medium"))
