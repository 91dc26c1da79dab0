"""The collector is the administrator's."""

import msgspec

from tests.builders import a_powertool, a_request
from toe.api.powertool import PowerTool
from toe.api.reasons import Reason
from toe.api.settings import Settings
from toe.policy.checks.collector_configured import check
from toe.policy.request import Request

HERE = "https://toe-collector.toe-system.svc"


def asked(run: PowerTool, collector: str = HERE) -> Request:
    """Is a run in front of an operator that is configured with this collector."""
    return msgspec.structs.replace(a_request(run), settings=Settings(collector=collector))


def test_allows_the_collector_that_is_there() -> None:
    """By not naming it, or by its own name."""
    assert check(asked(a_powertool(output={"mode": "collector"}))) == ()
    assert check(asked(a_powertool(output={"mode": "collector", "collector": {"endpoint": HERE}}))) == ()
    assert check(asked(a_powertool(), collector="")) == ()


def test_denies_an_address_of_a_users() -> None:
    """A ticket and the files would go there."""
    run = a_powertool(output={"mode": "collector", "collector": {"endpoint": "https://evil.example"}})
    (violation,) = check(asked(run))
    assert violation.reason is Reason.OUTPUT_NOT_ALLOWED
    assert str(violation) == (
        "spec.output.collector.endpoint: the collector's address is the administrator's: leave it out, or write "
        "https://toe-collector.toe-system.svc"
    )


def test_denies_the_mode_where_there_is_none() -> None:
    """Nobody would take the files."""
    (violation,) = check(asked(a_powertool(output={"mode": "collector"}), collector=""))
    assert str(violation).startswith("spec.output.mode: no collector is installed here")
