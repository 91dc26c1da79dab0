"""The slice of a Pod that toe reads: a projection, never written back (that would drop the fields it lacks).

Decoding 9 KB of pod into this takes about 8 µs and keeps 2 KB, which is what makes watching every pod of a cluster
affordable.
"""

import msgspec

from toe.api.meta import ObjectMeta, Struct

MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
DEFAULT_CONTAINER_ANNOTATION = "kubectl.kubernetes.io/default-container"


class SecurityContext(Struct, frozen=True, gc=False):
    """Is what a pod or container says about its identity."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    privileged: bool | None = None


class Container(Struct, frozen=True, gc=False):
    """Is a regular, init or ephemeral container as the pod's spec states it."""

    name: str
    image: str = ""
    restart_policy: str | None = None
    security_context: SecurityContext | None = None


class EphemeralContainer(Struct, frozen=True):
    """Is an ephemeral container as the pod's spec states it, with what tells ours from a stranger's of that name."""

    name: str
    image: str = ""
    target_container_name: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()


class VolumeClaim(Struct, frozen=True, gc=False):
    """Is the claim behind a volume."""

    claim_name: str = ""


class Volume(Struct, frozen=True, gc=False):
    """Is a volume, as far as toe needs to know what is behind it."""

    name: str
    persistent_volume_claim: VolumeClaim | None = None
    host_path: Struct | None = None


class PodOS(Struct, frozen=True, gc=False):
    """Names the pod's operating system."""

    name: str = ""


class PodSpec(Struct, frozen=True):
    """Is the slice of a pod's spec."""

    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    ephemeral_containers: tuple[EphemeralContainer, ...] = ()
    volumes: tuple[Volume, ...] = ()
    security_context: SecurityContext | None = None
    node_name: str = ""
    host_network: bool = False
    host_pid: bool = msgspec.field(name="hostPID", default=False)
    share_process_namespace: bool = False
    os: PodOS | None = None

    def volume_of(self, claim: str) -> str | None:
        """Returns the name of the volume that is this claim; None where the pod has none."""
        return next(
            (
                v.name
                for v in self.volumes
                if v.persistent_volume_claim and v.persistent_volume_claim.claim_name == claim
            ),
            None,
        )


class Running(Struct, frozen=True, gc=False):
    """Says when a container started."""

    started_at: str = ""


class Waiting(Struct, frozen=True, gc=False):
    """Says why a container has not started."""

    reason: str = ""
    message: str = ""


class Terminated(Struct, frozen=True, gc=False):
    """Says how a container ended. ``message`` is its termination message: the supervisor's summary."""

    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    started_at: str = ""
    finished_at: str = ""


class ContainerState(Struct, frozen=True, gc=False):
    """Is one of waiting, running, terminated; all absent means waiting."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class LinuxUser(Struct, frozen=True, gc=False):
    """Is the identity the container's first process really runs with."""

    uid: int
    gid: int


class ContainerUser(Struct, frozen=True, gc=False):
    """Is ``status.containerStatuses[].user``, reported since Kubernetes 1.31."""

    linux: LinuxUser | None = None


class ContainerStatus(Struct, frozen=True):
    """Is a container as the kubelet reports it."""

    name: str
    state: ContainerState | None = None
    last_state: ContainerState | None = None
    image_id: str = msgspec.field(name="imageID", default="")
    container_id: str = msgspec.field(name="containerID", default="")
    restart_count: int = 0
    user: ContainerUser | None = None


class PodIP(Struct, frozen=True, gc=False):
    """Is one address of a pod."""

    ip: str = ""


class PodStatus(Struct, frozen=True):
    """Is the slice of a pod's status."""

    phase: str = ""
    pod_ips: tuple[PodIP, ...] = msgspec.field(name="podIPs", default=())
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    ephemeral_container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(Struct, frozen=True):
    """Is the slice of a Pod that toe reads."""

    metadata: ObjectMeta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()
