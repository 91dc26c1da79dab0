"""A user's CPU limit is not above the administrator's."""

import pytest

from tests.builders import a_config, a_powertool, a_request
from toe.api.reasons import Reason
from toe.policy.checks.cpu_limit_stricter import check
from toe.policy.request import Request

HALF = a_config(limits={"cpuPercent": 50})


@pytest.mark.parametrize("wanted", [1, 50])
def test_allows_a_stricter_or_equal_limit(wanted: int) -> None:
    """A user may be gentler than the administrator."""
    assert check(a_request(a_powertool(tool={"maxCPUPercent": wanted}), HALF)) == ()


def test_allows_no_limit_and_any_limit_where_the_config_has_none() -> None:
    """A limit of one's own where there was none is stricter."""
    assert check(a_request(a_powertool(), HALF)) == ()
    assert check(a_request(a_powertool(tool={"maxCPUPercent": 900}), a_config())) == ()
    assert check(Request(run=a_powertool(tool={"maxCPUPercent": 900}))) == ()


def test_denies_a_limit_above_the_config() -> None:
    """A user takes no more than was permitted."""
    (violation,) = check(a_request(a_powertool(tool={"maxCPUPercent": 51}), HALF))
    assert violation.reason is Reason.LIMIT_NOT_ALLOWED
    assert (
        str(violation) == "spec.tool.maxCPUPercent: 51 is above the 50 that aperf permits: a user may only be stricter"
    )


def test_denies_a_limit_above_that_of_a_go_manifest() -> None:
    """``resources.limits.cpu`` counts as the config's limit."""
    config = a_config(resources={"limits": {"cpu": "500m"}})
    assert len(check(a_request(a_powertool(tool={"maxCPUPercent": 51}), config))) == 1
