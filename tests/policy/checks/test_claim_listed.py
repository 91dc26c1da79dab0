"""Files go to a claim that the config lists."""

from tests.builders import a_config, a_powertool, a_request
from toe.api.reasons import Reason
from toe.policy.checks.claim_listed import check

RUN = a_powertool(output={"mode": "pvc", "pvc": {"claimName": "data"}})


def test_allows_a_claim_that_is_listed() -> None:
    """``output.volumes`` names what the tool may write to; other modes write to none."""
    config = a_config(output={"modes": ["pvc"], "volumes": [{"claimName": "data", "path": "/results"}]})
    assert check(a_request(RUN, config)) == ()
    assert check(a_request(a_powertool())) == ()


def test_denies_any_other_claim() -> None:
    """A pod may mount another team's claim."""
    config = a_config(output={"modes": ["pvc"], "volumes": [{"claimName": "results", "path": "/results"}]})
    (violation,) = check(a_request(RUN, config))
    assert violation.reason is Reason.OUTPUT_NOT_ALLOWED
    assert str(violation) == (
        "spec.output.pvc.claimName: aperf may not write to the claim data; its config lists results"
    )
    (violation,) = check(a_request(RUN))
    assert violation.message.endswith("its config lists none")
