"""Files go to a claim that the config lists.

Why: a pod may mount another team's claim. ``output.volumes`` of the config names those that the tool may write to.
"""

from toe.api.reasons import Reason
from toe.policy.request import Request
from toe.policy.verdict import Violation


def check(request: Request) -> tuple[Violation, ...]:
    """Accepts a claim of ``output.volumes``."""
    config, claim = request.config, request.run.spec.output.pvc
    if config is None or claim is None or config.spec.claim(claim.claim_name) is not None:
        return ()
    listed = (config.spec.output.volumes if config.spec.output else None) or ()
    names = ", ".join(volume.claim_name for volume in listed) or "none"
    message = f"{config.spec.name} may not write to the claim {claim.claim_name}; its config lists {names}"
    return (Violation(Reason.OUTPUT_NOT_ALLOWED, message, "spec.output.pvc.claimName"),)
