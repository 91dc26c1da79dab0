"""One config holds the tool's name."""

from tests.builders import a_config, a_powertool, a_request
from toe.api.reasons import Reason
from toe.policy.checks.tool_unambiguous import check
from toe.policy.request import Request
from toe.policy.verdict import Unmet


def test_allows_one_holder() -> None:
    """One config, or none yet, is no ambiguity."""
    assert check(a_request(a_powertool())) == ()
    assert check(Request(run=a_powertool())) == ()


def test_waits_while_there_are_several_and_names_them() -> None:
    """None of several is preferred, and the order in which they were found does not matter."""
    one, two = a_config(metadata={"name": "b"}), a_config(metadata={"name": "a"})
    expected = (
        Unmet(Reason.AMBIGUOUS_TOOL, "2 PowerToolConfigs hold the tool name aperf: a, b; none of them is used"),
    )
    assert check(a_request(a_powertool(), one, two)) == check(a_request(a_powertool(), two, one)) == expected
