"""The ephemeral container, field by field: the only builder of what enters a pod.

Built from nothing plus the config; a run contributes its arguments, the name and the values of operator variables, and
nothing else. There is no parameter for ports, probes, resources, lifecycle or restartPolicy, so that mistake cannot be
written (Kubernetes forbids them: ValidatePodEphemeralContainersUpdate, allowedEphemeralContainerFields).
"""

import hashlib
from datetime import datetime, timedelta

import msgspec

from toe.api.meta import Struct
from toe.api.pod import Pod
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import EnvVar, Limits, PowerToolConfig, Security
from toe.api.quantity import parse_bytes
from toe.api.settings import Settings
from toe.api.ticket import Ticket
from toe.api.time import format_duration, format_time, parse_time
from toe.plan.go_variables import go_values
from toe.policy.arguments import MARKER
from toe.policy.identity import Identity, container_status, target_identity
from toe.policy.tier import withholds_files

_YEAR = timedelta(days=366)
SUPERVISOR = "/toe-run"
OUTPUT_DIRECTORY = "/tmp/toe-output"  # noqa: S108 a path inside the tool's own container, made there with mode 0700
CLAIM_DIRECTORY = "toe"
"""Below a claim's root, where the run names no directory."""
TICKET = "TOE_TICKET"
"""The one variable that is not rendered but put in when the container is added: it is a secret."""
SUMMARY_BYTES = 1024
POD_MESSAGE_BYTES = 12 * 1024
"""Termination messages of all containers of a pod together (kubelet, MaxPodTerminationMessageLogLength)."""


class ContainerCapabilities(Struct, frozen=True, omit_defaults=False):
    """Is written out even when empty: what is not there is what the auditor looks for."""

    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class SeccompProfile(Struct, frozen=True, omit_defaults=False):
    """Names the system call filter."""

    type: str


class ContainerSecurity(Struct, frozen=True, omit_defaults=False, kw_only=True):
    """Is the container's security context with every field explicit; no ids mean the image's user."""

    privileged: bool
    allow_privilege_escalation: bool
    capabilities: ContainerCapabilities
    run_as_user: int | msgspec.UnsetType = msgspec.UNSET
    run_as_group: int | msgspec.UnsetType = msgspec.UNSET
    run_as_non_root: bool
    seccomp_profile: SeccompProfile | msgspec.UnsetType = msgspec.UNSET


class VolumeMount(Struct, frozen=True):
    """Is a claim of the pod's where the tool's files go; ``name`` is what the pod's author called its volume."""

    name: str
    mount_path: str


class ToolContainer(Struct, frozen=True):
    """Is the ephemeral container as it is sent to the API server."""

    name: str
    image: str
    target_container_name: str
    security_context: ContainerSecurity
    env: tuple[EnvVar, ...]
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    image_pull_policy: str = ""
    volume_mounts: tuple[VolumeMount, ...] = ()


def container_name(tool: str, run_uid: str, pod_uid: str, attempt: int = 0) -> str:
    """Returns ``toe-<tool>-<10 hex>``: the same for the same run and pod, whoever asks and however often."""
    digest = hashlib.sha256(f"{run_uid}/{pod_uid}/{attempt}".encode()).hexdigest()
    return f"toe-{tool}-{digest[:10]}"


def tool_identity(security: Security, target: Identity | None) -> Identity | None:
    """Returns the uid and gid the tool runs with: root, the config's own, or the target's; None when not known."""
    if security.run_as_root:
        return Identity(0, 0)
    if security.run_as_user is not None and security.run_as_group is not None:
        return Identity(security.run_as_user, security.run_as_group)
    return target


def render(
    run: PowerTool, config: PowerToolConfig, pod: Pod, container: str, not_after: datetime, settings: Settings
) -> ToolContainer:
    """Builds the container for one target.

    The target's identity must be known where the config takes it (the TARGET chain has seen to that), or the settings
    leave the tool to its image's user; ValueError else.
    """
    spec = config.spec
    security = spec.effective_security
    identity = tool_identity(security, target_identity(pod, container))
    if identity is None and settings.unknown_identity != "image":
        raise ValueError(f"the identity of {pod.metadata.name}/{container} is not known")
    command, args = words(config, run.spec.tool.args or ())
    return ToolContainer(
        name=container_name(spec.name, run.metadata.uid, pod.metadata.uid),
        image=spec.image,
        image_pull_policy=spec.image_pull_policy or "",
        command=command,
        args=args,
        env=(
            *_operator_env(run, config, pod, container, not_after, settings),
            *(_go_env(run, config, pod, container) if settings.go_variables else ()),
            *_admin_env(spec.env or ()),
        ),
        volume_mounts=_volume_mounts(run, config, pod),
        security_context=_security(security, identity),
        target_container_name=container,
    )


def words(config: PowerToolConfig, user: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns command and args: the administrator's words, constant for a config, and the user's."""
    spec = config.spec
    fixed = tuple(map(_literal, spec.default_args or ()))
    own = tuple(map(_literal, user))
    if spec.is_supervised:
        return (SUPERVISOR, "--", *map(_literal, spec.command or ()), *fixed, MARKER), own
    if spec.command is not None:
        return (*map(_literal, spec.command), *fixed), own
    return (), (*fixed, *own)


def _literal(word: str) -> str:
    """Doubles each ``$``: the kubelet expands ``$(NAME)`` in command, args and env, and turns ``$$`` into ``$``.

    Source: k8s.io/kubernetes/third_party/forked/golang/expansion.
    """
    return word.replace("$", "$$")


def _operator_env(
    run: PowerTool, config: PowerToolConfig, pod: Pod, container: str, not_after: datetime, settings: Settings
) -> tuple[EnvVar, ...]:
    limits = config.spec.effective_limits
    status = container_status(pod, container)
    container_id = status.container_id.partition("://")[2] if status else ""
    values = {
        "TOE_RUN": run.metadata.name,
        "TOE_TOOL": config.spec.name,
        "TOE_NAMESPACE": run.metadata.namespace,
        "TOE_POD": pod.metadata.name,
        "TOE_CONTAINER": container,
        "TOE_CONTAINER_ID": container_id,
        "TOE_DURATION": run.spec.tool.duration,
        "TOE_WARMUP": run.spec.tool.warmup or "0s",
        "TOE_GRACE": format_duration(settings.grace),
        "TOE_NOT_AFTER": format_time(not_after),
        "TOE_STOP_SIGNAL": config.spec.stop_signal,
        "TOE_LIMITS": _limits(limits, run.spec.tool.max_cpu_percent),
        "TOE_MODE": run.spec.output.mode,
        "TOE_OUTPUT": OUTPUT_DIRECTORY,
        "TOE_SUMMARY_MAX": str(_summary_bytes(pod)),
        **_output_env(run, config, pod, settings),
    }
    return tuple(EnvVar(name, _literal(value)) for name, value in values.items())


def _output_env(run: PowerTool, config: PowerToolConfig, pod: Pod, settings: Settings) -> dict[str, str]:
    """Is where the files go. The ticket itself is a secret, and is put in when the container is added."""
    output, values = run.spec.output, dict[str, str]()
    if not config.spec.is_supervised:
        return values
    if settings.collector:
        values |= {"TOE_COLLECTOR": settings.collector, "TOE_CA": settings.collector_ca}
    if output.compress == "zstd":
        values["TOE_COMPRESS"] = output.compress
    if output.rolling_interval is not None:
        values["TOE_ROLLING"] = output.rolling_interval
    if output.mode == "ephemeral" and withholds_files(config.spec):
        values["TOE_FILES"] = "withheld"
    return values | dict(zip(("TOE_CLAIM", "TOE_CLAIM_PATH"), _on_claim(run, config, pod), strict=False))


def _go_env(run: PowerTool, config: PowerToolConfig, pod: Pod, container: str) -> tuple[EnvVar, ...]:
    values = go_values(run, config, pod, container, "/".join(_on_claim(run, config, pod)))
    return tuple(EnvVar(name, _literal(value)) for name, value in values)


def _on_claim(run: PowerTool, config: PowerToolConfig, pod: Pod) -> tuple[str, ...]:
    """Is where a claim is mounted and where below that the files go; empty in other modes."""
    wanted = run.spec.output.pvc
    claim = config.spec.claim(wanted.claim_name) if wanted else None
    if wanted is None or claim is None:
        return ()
    return claim.path, "/".join((wanted.path or CLAIM_DIRECTORY, run.metadata.name, pod.metadata.name))


def _volume_mounts(run: PowerTool, config: PowerToolConfig, pod: Pod) -> tuple[VolumeMount, ...]:
    """Is the claim of the mode pvc and nothing else; the TARGET chain has seen to it that the pod has it."""
    wanted = run.spec.output.pvc
    claim = config.spec.claim(wanted.claim_name) if wanted else None
    volume = pod.spec.volume_of(claim.claim_name) if claim else None
    return (VolumeMount(name=volume, mount_path=claim.path),) if claim and volume else ()


def ticket(
    run: PowerTool, config: PowerToolConfig, pod: Pod, container: str, not_after: datetime, settings: Settings
) -> Ticket | None:
    """Returns what the tool's ticket says; None where there is no collector, or no supervisor to hold a lease.

    The same for the same run and pod, so that a container added twice by accident has one ticket and one claim.
    """
    if not settings.collector or not config.spec.is_supervised:
        return None
    name = container_name(config.spec.name, run.metadata.uid, pod.metadata.uid)
    uploads = run.spec.output.mode == "collector"
    return Ticket(
        id=hashlib.sha256(f"ticket/{run.metadata.uid}/{pod.metadata.uid}/{name}".encode()).hexdigest()[:32],
        namespace=run.metadata.namespace,
        run=run.metadata.name,
        run_uid=run.metadata.uid,
        tool=config.spec.name,
        pod=pod.metadata.name,
        pod_uid=pod.metadata.uid,
        container=name,
        target=container,
        max_bytes=config.spec.effective_limits.max_artifact_bytes if uploads else 0,
        expires=int((not_after + settings.upload_allowance).timestamp()),
        not_before=int((parse_time(run.metadata.creation_timestamp) or not_after - _YEAR).timestamp()),
        retention_days=run.spec.output.retention_days,
        pod_ips=tuple(address.ip for address in pod.status.pod_ips),
    )


def _admin_env(variables: tuple[EnvVar, ...]) -> tuple[EnvVar, ...]:
    return tuple(EnvVar(variable.name, _literal(variable.value)) for variable in variables)


def _limits(limits: Limits, own_cpu_percent: int | None) -> str:
    cpu = min((value for value in (limits.cpu_percent, own_cpu_percent) if value is not None), default=None)
    memory = parse_bytes(limits.memory) if limits.memory else None
    stated = {"memoryBytes": memory, "cpuPercent": cpu, "artifactBytes": limits.max_artifact_bytes}
    return msgspec.json.encode({name: value for name, value in stated.items() if value is not None}).decode()


def _summary_bytes(pod: Pod) -> int:
    """Returns the supervisor's share of the termination messages: the kubelet divides 12 KiB among all containers."""
    spec = pod.spec
    count = len(spec.containers) + len(spec.init_containers) + len(spec.ephemeral_containers) + 1
    return min(SUMMARY_BYTES, POD_MESSAGE_BYTES // count)


def _security(security: Security, identity: Identity | None) -> ContainerSecurity:
    stated = security.capabilities
    privileged = security.allow_privileged
    return ContainerSecurity(
        privileged=privileged,
        allow_privilege_escalation=privileged,
        capabilities=ContainerCapabilities(
            add=(stated.add if stated else None) or (), drop=(stated.drop if stated else None) or ()
        ),
        run_as_user=identity.uid if identity else msgspec.UNSET,
        run_as_group=identity.gid if identity else msgspec.UNSET,
        # Of the image's user only the kubelet knows whether it is root: it starts no such container with true.
        run_as_non_root=identity.uid != 0 if identity else security.run_as_root is False,
        seccomp_profile=msgspec.UNSET if privileged else SeccompProfile(security.seccomp_profile),
    )
