"""Every right that a run needs, all of them before any is asked; and what becomes of the answers: 32 cases."""

import itertools
from typing import Any

import pytest

from tests.builders import APPROVED, DIGEST, a_config, a_pod, a_powertool, a_request, judged, merged
from toe.api.meta import GROUP
from toe.api.settings import PROFILES
from toe.policy.access import Question, entry_to
from toe.policy.chains import RUN, evaluate
from toe.policy.rights import questions
from toe.policy.verdict import Allowed, Denied, Undecided, Verdict

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


HARDENED = PROFILES["hardened"]
SECURITY: dict[str, dict[str, Any]] = {
    "Low": {"capabilities": {"drop": ["ALL"]}},
    "Medium": {"capabilities": {"drop": ["ALL"], "add": ["SYS_PTRACE"]}, "runAsRoot": True},
    "High": {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}, "runAsRoot": True},
    "Extreme": {"allowPrivileged": True, "runAsRoot": True},
}
ANSWERS = {"allow": True, "deny": False, "error": None, "timeout": None}
REVIEWED = merged(APPROVED, {"annotations": {"security.toe.run/review-date": "2099-01-01"}})


def _verdict(tier: str, use: bool | None, enter: bool | None) -> Verdict:
    metadata = REVIEWED if tier == "Extreme" else None
    config = a_config(metadata, image=DIGEST, security=SECURITY[tier])
    request = a_request(
        a_powertool(),
        config,
        namespace_labels={"toe.run/allow-privileged-tools": "true"},
        settings=HARDENED,
        access={},
    )
    (one,) = request.configs
    assert one.readiness.tier == tier
    access = {q: use if q.verb == "use" else enter for q in questions(one, "production", [], HARDENED)}
    assert len(access) == 2
    return evaluate(
        RUN,
        a_request(a_powertool(), config, namespace_labels=request.namespace_labels, settings=HARDENED, access=access),
    )


@pytest.mark.parametrize(("right", "tier", "answer"), list(itertools.product(("use", "enter"), SECURITY, ANSWERS)))
def test_only_a_yes_to_both_rights_is_allowed(right: str, tier: str, answer: str) -> None:
    """A no is a refusal; an error and a timeout inject nothing, and refuse nothing for good."""
    given = ANSWERS[answer]
    verdict = _verdict(tier, given if right == "use" else True, given if right == "enter" else True)
    assert type(verdict) is {True: Allowed, False: Denied, None: Undecided}[given]
