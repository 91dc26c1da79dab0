"""The requester holds the right to use the tool."""

import pytest

from tests.builders import APPROVED, a_config, a_powertool, a_request, a_smuggled_powertool
from toe.api.meta import GROUP
from toe.api.reasons import Reason
from toe.api.settings import PROFILES
from toe.policy.access import Question
from toe.policy.checks.requester_may_use import check
from toe.policy.verdict import Unmet, Violation

HIGH = a_config(security={"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}, "runAsRoot": True})
EXTREME = a_config(APPROVED, security={"allowPrivileged": True})
USE_HIGH = Question("use", "powertoolconfigs", "production", "aperf", GROUP)
USE_EXTREME = Question("use", "powertoolconfigs", "toe-system", "production.aperf", GROUP)


def test_allows_a_low_tool_without_any_right() -> None:
    """Below tier High whoever may create a PowerTool may use it."""
    assert check(a_request(access={})) == ()


def test_asks_nothing_without_a_config_or_a_requester() -> None:
    """Other rules speak of those."""
    assert check(a_request(a_powertool(), HIGH, HIGH, access={})) == ()
    assert check(a_request(a_smuggled_powertool(requester=None), HIGH, access={})) == ()


@pytest.mark.parametrize(("config", "right"), [(HIGH, USE_HIGH), (EXTREME, USE_EXTREME)])
def test_allows_who_holds_the_right(config: object, right: Question) -> None:
    """High is asked in the run's namespace, Extreme in the system namespace."""
    assert check(a_request(a_powertool(), config, access={right: True})) == ()


@pytest.mark.parametrize(("config", "right"), [(HIGH, USE_HIGH), (EXTREME, USE_EXTREME)])
def test_denies_who_lacks_it_and_says_what_to_ask_for(config: object, right: Question) -> None:
    """The way out is in the message."""
    (answer,) = check(a_request(a_powertool(), config, access={right: False}))
    assert isinstance(answer, Violation)
    assert answer.reason == Reason.USE_NOT_GRANTED
    assert answer.message == f"alice may not use aperf here; ask for: {right}"


@pytest.mark.parametrize("access", [{}, {USE_HIGH: None}])
def test_waits_where_the_api_server_did_not_answer(access: dict[Question, bool | None]) -> None:
    """No answer is no permission and no refusal: nothing is injected."""
    (answer,) = check(a_request(a_powertool(), HIGH, access=access))
    assert isinstance(answer, Unmet)
    assert answer.reason == Reason.ACCESS_UNKNOWN


def test_another_profile_asks_from_another_tier() -> None:
    """compat never asks, hardened asks for every tool."""
    low = Question("use", "powertoolconfigs", "production", "aperf", GROUP)
    assert check(a_request(a_powertool(), HIGH, access={}, settings=PROFILES["compat"])) == ()
    (answer,) = check(a_request(access={low: False}, settings=PROFILES["hardened"]))
    assert answer.reason == Reason.USE_NOT_GRANTED
