"""Who a target is: its container and the uid and gid its first process really runs with."""

from toe.api.meta import Struct
from toe.api.pod import (
    DEFAULT_CONTAINER_ANNOTATION,
    MIRROR_ANNOTATION,
    Container,
    ContainerStatus,
    Pod,
    SecurityContext,
)


class Identity(Struct, frozen=True, gc=False):
    """Is a uid and a gid. Both matter: the same uid with another gid may not trace (kernel ptrace access check)."""

    uid: int
    gid: int


def is_eligible(pod: Pod) -> bool:
    """Tells whether tools may enter a pod at all: Running, not terminating, no mirror of a static pod, no Windows.

    The API server refuses mirror pods (ValidatePodEphemeralContainersUpdate); Windows has none of the Linux security.
    """
    return (
        pod.status.phase == "Running"
        and not pod.metadata.deletion_timestamp
        and MIRROR_ANNOTATION not in (pod.metadata.annotations or {})
        and (pod.spec.os is None or pod.spec.os.name != "windows")
    )


def joinable_containers(pod: Pod) -> list[Container]:
    """Returns regular containers, then native sidecars; ephemeral containers and finished init containers never."""
    sidecars = [container for container in pod.spec.init_containers if container.restart_policy == "Always"]
    return [*pod.spec.containers, *sidecars]


def target_container(pod: Pod, wanted: str | None) -> str | None:
    """Returns the container that a run joins; None when the pod lacks the one that was asked for.

    Without a wish it is kubectl's default: the annotation's container where the pod has it, else the first.
    """
    names = [container.name for container in joinable_containers(pod)]
    if wanted is not None:
        return wanted if wanted in names else None
    default = (pod.metadata.annotations or {}).get(DEFAULT_CONTAINER_ANNOTATION)
    return default if default in names else next(iter(names), None)


def container_status(pod: Pod, name: str) -> ContainerStatus | None:
    """Returns the kubelet's report of a regular container or sidecar."""
    statuses = (*pod.status.container_statuses, *pod.status.init_container_statuses)
    return next((status for status in statuses if status.name == name), None)


def is_running(pod: Pod, name: str) -> bool:
    """Tells whether the kubelet reports the container as running."""
    status = container_status(pod, name)
    return status is not None and status.state is not None and status.state.running is not None


def target_identity(pod: Pod, name: str) -> Identity | None:
    """Returns the uid and gid of a container; None when neither the kubelet nor the pod tells both.

    The kubelet's word (``status.containerStatuses[].user.linux``) comes first; then what container and pod state,
    the container's word first.
    """
    status = container_status(pod, name)
    if status is not None and status.user is not None and status.user.linux is not None:
        return Identity(status.user.linux.uid, status.user.linux.gid)
    container = next((c for c in joinable_containers(pod) if c.name == name), None)
    own = (container.security_context if container else None) or SecurityContext()
    whole = pod.spec.security_context or SecurityContext()
    uid = own.run_as_user if own.run_as_user is not None else whole.run_as_user
    gid = own.run_as_group if own.run_as_group is not None else whole.run_as_group
    return Identity(uid, gid) if uid is not None and gid is not None else None
