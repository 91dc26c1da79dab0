"""The pod has room for one more tool container.

Why: ephemeral containers can never be removed (KEP-277); each makes the pod object larger for every watcher. The
operator setting bounds how many toe containers a pod gets in its life.
"""

from toe.api.reasons import Reason
from toe.policy.request import TargetRequest
from toe.policy.verdict import Violation


def check(request: TargetRequest) -> tuple[Violation, ...]:
    """Accepts a pod with fewer toe containers than the setting."""
    most = request.settings.max_containers_per_pod
    have = sum(container.name.startswith("toe-") for container in request.pod.spec.ephemeral_containers)
    if have < most:
        return ()
    message = f"the pod has {have} tool containers, which can never be removed; {most} is the limit: restart the pod"
    return (Violation(Reason.POD_CAP_REACHED, message),)
