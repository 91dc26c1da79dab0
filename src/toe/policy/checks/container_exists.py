"""The pod has the container that the run names.

Why: a tool in another container than the one asked for reads the wrong process. A name that a pod lacks refuses that
pod; the first container is never taken instead. Regular containers and native sidecars count, ephemeral ones never.
"""

from toe.api.reasons import Reason
from toe.policy.identity import joinable_containers, target_container
from toe.policy.request import TargetRequest
from toe.policy.verdict import Violation


def check(request: TargetRequest) -> tuple[Violation, ...]:
    """Accepts a pod that has the container."""
    wanted = request.run.spec.targets.container
    if target_container(request.pod, wanted) is not None:
        return ()
    names = ", ".join(container.name for container in joinable_containers(request.pod))
    message = f"the pod has no container {wanted}; it has {names or 'none'}"
    return (Violation(Reason.CONTAINER_NOT_FOUND, message, "spec.targets.container"),)
