"""The tool may join this container.

Why: nobody should aim a tool at a vault agent or a mesh proxy. ``allowedTargets.containers`` lists the only ones,
``exceptContainers`` those that are never joined.
"""

from toe.api.reasons import Reason
from toe.policy.identity import target_container
from toe.policy.request import TargetRequest
from toe.policy.verdict import Violation


def check(request: TargetRequest) -> tuple[Violation, ...]:
    """Accepts a container that is listed, or any that is not excepted where none is listed."""
    allowed = request.config.spec.allowed_targets
    name = target_container(request.pod, request.run.spec.targets.container)
    if allowed is None or name is None:
        return ()
    if allowed.containers is not None and name not in allowed.containers:
        message = f"{request.config.spec.name} may join {', '.join(allowed.containers)} only, not {name}"
    elif name in (allowed.except_containers or ()):
        message = f"{request.config.spec.name} may not join the container {name}"
    else:
        return ()
    return (Violation(Reason.CONTAINER_NOT_ALLOWED, message, "spec.targets.container"),)
