"""Every right that a run needs, all of them before any is asked."""

from tests.builders import a_config, a_pod, judged
from toe.api.meta import GROUP
from toe.api.settings import PROFILES
from toe.policy.access import Question, entry_to
from toe.policy.rights import questions

TRACER = a_config(security={"capabilities": {"drop": ["ALL"], "add": ["SYS_PTRACE"]}, "runAsRoot": True})
USE = Question("use", "powertoolconfigs", "production", "aperf", GROUP)


def test_a_harmless_tool_needs_none() -> None:
    """No request is made for it."""
    (low,) = judged(a_config())
    assert questions(low, "production", [a_pod()], PROFILES["standard"]) == frozenset()


def test_a_pod_that_raises_the_tier_raises_the_question() -> None:
    """The rights of every pod are asked at once."""
    (medium,) = judged(TRACER)
    pods = [a_pod(), a_pod("web-2", spec={"shareProcessNamespace": True})]
    assert questions(medium, "production", pods[:1], PROFILES["standard"]) == frozenset()
    assert questions(medium, "production", pods, PROFILES["standard"]) == {USE}


def test_reach_asks_for_exec_where_the_setting_refuses() -> None:
    """standard only warns, at admission."""
    (medium,) = judged(TRACER)
    assert questions(medium, "production", [], PROFILES["hardened"]) == {USE, entry_to("production")}
