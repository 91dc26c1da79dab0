"""The tool may join this pod.

Why: ``allowedTargets.podSelector`` keeps a tool to the pods an administrator thought of.
"""

from toe.api.reasons import Reason
from toe.policy.request import TargetRequest
from toe.policy.verdict import Violation


def check(request: TargetRequest) -> tuple[Violation, ...]:
    """Accepts a pod that the selector matches, or any where there is none."""
    allowed = request.config.spec.allowed_targets
    if allowed is None or allowed.pod_selector is None or allowed.pod_selector.matches(request.pod.metadata.labels):
        return ()
    message = f"{request.config.spec.name} may join only pods with {allowed.pod_selector}"
    return (Violation(Reason.POD_NOT_ALLOWED, message, "spec.targets.labelSelector"),)
