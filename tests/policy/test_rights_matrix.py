"""Two rights, four tiers, four answers: 32 cases. Only a yes to both rights is allowed."""

import itertools
from typing import Any

import pytest

from tests.builders import APPROVED, DIGEST, a_config, a_powertool, a_request, merged
from toe.api.settings import PROFILES
from toe.policy.chains import RUN, evaluate
from toe.policy.rights import questions
from toe.policy.verdict import Allowed, Denied, Undecided, Verdict

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
    (judged,) = request.configs
    assert judged.readiness.tier == tier
    access = {q: use if q.verb == "use" else enter for q in questions(judged, "production", [], HARDENED)}
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
