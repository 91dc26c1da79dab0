"""The requester could enter the target himself."""

from tests.builders import a_config, a_powertool, a_request, a_smuggled_powertool
from toe.api.reasons import Reason
from toe.api.settings import PROFILES
from toe.policy.access import Question
from toe.policy.checks.requester_may_enter import check
from toe.policy.verdict import Unmet

EXEC = Question("create", "pods", "production", subresource="exec")
HARDENED = PROFILES["hardened"]
BLIND = a_config(security={"runAsRoot": True, "capabilities": {"drop": ["ALL"]}})


def test_allows_who_may_exec() -> None:
    """He gets nothing that he could not have."""
    assert check(a_request(access={EXEC: True}, settings=HARDENED)) == ()


def test_allows_a_tool_without_reach() -> None:
    """It is worth no exec."""
    assert check(a_request(a_powertool(), BLIND, access={EXEC: False}, settings=HARDENED)) == ()


def test_allows_everybody_where_the_setting_does_not_refuse() -> None:
    """standard warns at admission, compat says nothing; other rules speak of missing configs and requesters."""
    assert check(a_request(access={EXEC: False})) == ()
    assert check(a_request(a_powertool(), BLIND, BLIND, access={}, settings=HARDENED)) == ()
    assert check(a_request(a_smuggled_powertool(requester=None), access={}, settings=HARDENED)) == ()


def test_denies_who_may_not_and_says_what_to_ask_for() -> None:
    """A tool that reads memory is worth as much as exec."""
    (answer,) = check(a_request(access={EXEC: False}, settings=HARDENED))
    assert answer.reason == Reason.TARGET_ACCESS_DENIED
    assert "ask for: verb create on pods/exec in namespace production" in answer.message


def test_waits_where_the_api_server_did_not_answer() -> None:
    """No answer is no permission."""
    (answer,) = check(a_request(access={}, settings=HARDENED))
    assert isinstance(answer, Unmet)
