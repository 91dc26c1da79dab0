"""The pod has the claim already."""

from tests.builders import a_pod, a_powertool, a_target_request
from toe.api.reasons import Reason
from toe.policy.checks.claim_mounted import check

RUN = a_powertool(output={"mode": "pvc", "pvc": {"claimName": "data"}})
CLAIM = {"name": "whatever", "persistentVolumeClaim": {"claimName": "data"}}


def test_allows_a_pod_that_has_it() -> None:
    """What counts is the claim behind the volume; where no claim is wanted, none is looked for."""
    assert check(a_target_request(a_pod(spec={"volumes": [CLAIM]}), run=RUN)) == ()
    assert check(a_target_request()) == ()


def test_denies_a_pod_that_has_not() -> None:
    """A volume that is only called like the claim is another volume."""
    pod = a_pod(
        spec={"volumes": [{"name": "data", "hostPath": {}}, {**CLAIM, "persistentVolumeClaim": {"claimName": "x"}}]}
    )
    (violation,) = check(a_target_request(pod, run=RUN))
    assert violation.reason is Reason.VOLUME_NOT_MOUNTED
    assert str(violation).startswith("spec.output.pvc.claimName: the pod has no volume of the claim data")
