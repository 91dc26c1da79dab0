"""Results leave the pod in a way that the config lists."""

import pytest

from tests.builders import a_config, a_powertool, a_request, a_smuggled_config, a_smuggled_powertool
from toe.api.reasons import Reason
from toe.policy.checks.output_mode_listed import check
from toe.policy.request import Request


def test_allows_ephemeral_by_default() -> None:
    """A config that lists nothing accepts the container's log, and the collector."""
    assert check(a_request(a_powertool(output={"mode": "collector"}))) == ()
    assert check(a_request(a_powertool())) == ()
    assert check(a_request(a_powertool(output={"mode": "ephemeral"}), a_config(output={"modes": ["ephemeral"]}))) == ()
    assert check(Request(run=a_smuggled_powertool(output={"mode": "pvc"}))) == ()


@pytest.mark.parametrize("mode", ["pvc", "collector"])
def test_denies_a_mode_that_is_not_listed(mode: str) -> None:
    """Results leave only as the administrator accepts."""
    config = a_config(output={"modes": ["ephemeral"]})
    (violation,) = check(a_request(a_smuggled_powertool(output={"mode": mode}), config))
    assert violation.reason is Reason.OUTPUT_NOT_ALLOWED
    assert str(violation) == f"spec.output.mode: aperf does not permit {mode}; it permits ephemeral"


def test_denies_the_default_where_the_config_lists_others() -> None:
    """The default mode is a mode like any other."""
    config = a_smuggled_config(output={"modes": ["pvc", "collector"]})
    (violation,) = check(a_request(a_powertool(), config))
    assert violation.message == "aperf does not permit ephemeral; it permits pvc, collector"
