"""The tool exists."""

from tests.builders import a_config, a_powertool, a_request
from toe.api.reasons import Reason
from toe.policy.checks.tool_known import check
from toe.policy.request import Request
from toe.policy.verdict import Unmet


def test_allows_a_tool_with_a_config() -> None:
    """One config or several: that it exists is all that is asked here."""
    assert check(a_request(a_powertool())) == ()
    assert check(a_request(a_powertool(), a_config(), a_config())) == ()


def test_waits_for_a_config_in_these_words() -> None:
    """The message is that of the source document."""
    answers = check(Request(run=a_powertool(tool={"name": "mytool"})))
    assert answers == (Unmet(Reason.TOOL_NOT_FOUND, "PowerToolConfig not found for tool: mytool"),)


def test_waits_with_a_hint_when_a_name_is_close() -> None:
    """A slip of the pen is recognized."""
    (unmet,) = check(Request(run=a_powertool(tool={"name": "aprf"}), tool_names=("aperf", "tcpdump")))
    assert unmet.message == "PowerToolConfig not found for tool: aprf (did you mean aperf?)"
