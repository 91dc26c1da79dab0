"""The target container runs.

Why: a tool for a container that is down waits in the pod, cannot be withdrawn, and starts by itself whenever the target
comes up again.
"""

from toe.api.reasons import Reason
from toe.policy.identity import is_running, target_container
from toe.policy.request import TargetRequest
from toe.policy.verdict import Violation


def check(request: TargetRequest) -> tuple[Violation, ...]:
    """Accepts a container that the kubelet reports as running."""
    name = target_container(request.pod, request.run.spec.targets.container)
    if name is None or is_running(request.pod, name):
        return ()
    return (Violation(Reason.TARGET_NOT_RUNNING, f"the container {name} is not running"),)
