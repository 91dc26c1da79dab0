"""What a tool becomes in a particular pod: the same capability reaches further in some than in others."""

from toe.api.pod import Pod
from toe.api.powertoolconfig import PowerToolConfig, Tier
from toe.policy.capabilities import highest
from toe.policy.tier import granted

_NETWORK = frozenset({"NET_ADMIN", "NET_RAW"})


def tier_in(config: PowerToolConfig, tier: Tier, pod: Pod) -> Tier:
    """Returns the tier of a tool in this pod: never below the config's own.

    NET_* reaches the node's network in a hostNetwork pod. SYS_PTRACE reaches other containers where the process
    namespace is shared, the host's files where the pod mounts them, and the node where the pod is privileged or has
    hostPID.
    """
    has, spec = granted(config.spec.effective_security), pod.spec
    tiers: list[Tier] = [tier]
    if spec.host_network and has & _NETWORK:
        tiers.append("High")
    if "SYS_PTRACE" in has:
        if spec.host_pid:
            tiers.append("Extreme")
        if spec.share_process_namespace or _mounts_host(pod) or _is_privileged(pod):
            tiers.append("High")
    return highest(*tiers)


def _mounts_host(pod: Pod) -> bool:
    return any(volume.host_path is not None for volume in pod.spec.volumes)


def _is_privileged(pod: Pod) -> bool:
    containers = (*pod.spec.containers, *pod.spec.init_containers)
    return any(c.security_context is not None and c.security_context.privileged for c in containers)
