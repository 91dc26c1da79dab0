"""The pod has the claim already.

Why: an ephemeral container can mount only what its pod has (Kubernetes fixes a pod's volumes when it is created). What
is mounted is the volume whose claim it is, whatever the pod's author called it.
"""

from toe.api.reasons import Reason
from toe.policy.request import TargetRequest
from toe.policy.verdict import Violation


def check(request: TargetRequest) -> tuple[Violation, ...]:
    """Accepts a pod with a volume of the run's claim."""
    claim = request.run.spec.output.pvc
    if claim is None or request.pod.spec.volume_of(claim.claim_name) is not None:
        return ()
    message = f"the pod has no volume of the claim {claim.claim_name}, and none can be added to a pod that runs"
    return (Violation(Reason.VOLUME_NOT_MOUNTED, message, "spec.output.pvc.claimName"),)
