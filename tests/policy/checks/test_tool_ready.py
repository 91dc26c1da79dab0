"""The config is valid."""

from tests.builders import a_config, a_powertool, a_request
from toe.api.reasons import Reason
from toe.policy.checks.tool_ready import check
from toe.policy.request import Request
from toe.policy.verdict import Unmet

BROKEN = a_config(security={"capabilities": {"add": ["SYS_ADMN"], "drop": ["ALL"]}}, defaultArgs=["--user-args--"])


def test_allows_a_valid_config() -> None:
    """A config in which nothing is violated may be used."""
    assert check(a_request(a_powertool())) == ()


def test_leaves_none_and_several_to_other_rules() -> None:
    """Which of several would be meant is not asked here."""
    assert check(Request(run=a_powertool())) == ()
    assert check(a_request(a_powertool(), BROKEN, BROKEN)) == ()


def test_waits_while_the_config_means_nothing_and_tells_everything() -> None:
    """All that is wrong with the config is in the message."""
    (unmet,) = check(a_request(a_powertool(), BROKEN))
    assert isinstance(unmet, Unmet)
    assert unmet.reason is Reason.TOOL_NOT_READY
    assert unmet.message.startswith("PowerToolConfig aperf-config is not valid: spec.security.capabilities.add[0]: ")
    assert "; spec.defaultArgs[0]: " in unmet.message
