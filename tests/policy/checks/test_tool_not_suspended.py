"""The administrator has not suspended the tool."""

from tests.builders import a_config, a_powertool, a_request
from toe.api.reasons import Reason
from toe.policy.checks.tool_not_suspended import check
from toe.policy.request import Request
from toe.policy.verdict import Unmet


def test_allows_a_tool_that_is_switched_on() -> None:
    """Absent and false are the same."""
    assert check(a_request(a_powertool())) == ()
    assert check(a_request(a_powertool(), a_config(suspended=False))) == ()
    assert check(Request(run=a_powertool())) == ()


def test_waits_while_the_tool_is_suspended() -> None:
    """The kill switch can be lifted, so the run is not refused."""
    answers = check(a_request(a_powertool(), a_config(suspended=True)))
    assert answers == (Unmet(Reason.TOOL_SUSPENDED, "the administrator suspended the tool aperf"),)
