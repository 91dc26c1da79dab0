"""Everything that a check may look at."""

from tests.builders import a_config, a_powertool, a_request
from toe.policy.request import Request


def test_the_config_is_the_one_and_only() -> None:
    """None while there is none, or more than one."""
    assert Request(run=a_powertool()).config is None
    assert a_request(a_powertool(), a_config()).config == a_config()
    assert a_request(a_powertool(), a_config(), a_config()).config is None
