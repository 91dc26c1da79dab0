"""A pod with the node's process namespace is entered only by tools that may.

Why: in a ``hostPID`` pod a tool sees every process of the node. A container cannot obtain that by itself; the pod
has it or not. ``allowHostPID`` is the permission to enter such a pod.
"""

from toe.api.reasons import Reason
from toe.policy.request import TargetRequest
from toe.policy.verdict import Violation


def check(request: TargetRequest) -> tuple[Violation, ...]:
    """Accepts pods without hostPID, or tools with ``allowHostPID``."""
    if not request.pod.spec.host_pid or request.config.spec.effective_security.allow_host_pid:
        return ()
    message = f"the pod shares the node's processes (hostPID) and {request.config.spec.name} may not enter such pods"
    return (Violation(Reason.HOST_PID_NOT_ALLOWED, message),)
