"""What a tool's process will really hold and reach, which is not what its YAML says.

Capabilities are the kernel's: a process that is not root starts with none of those that its container adds, and without
privilege escalation it gains none (capabilities(7), no_new_privs in prctl(2)). Reach is per pod: what its container
shares with others decides. Sources: kernel/ptrace.c (__ptrace_may_access) and
https://kubernetes.io/docs/tasks/configure-pod-container/share-process-namespace/
"""

from toe.api.meta import Struct
from toe.api.pod import Pod
from toe.api.powertoolconfig import Security
from toe.policy.capabilities import BY_NAME, CAPABILITIES
from toe.policy.identity import Identity, target_identity
from toe.policy.tier import granted


class Holdings(Struct, frozen=True):
    """Is what a process starts with, and what it can come to."""

    uid: int
    gid: int
    effective: tuple[str, ...]
    """Capabilities that it really has."""
    bounding: tuple[str, ...]
    """Capabilities that programs which it starts could have at most."""
    no_new_privs: bool
    seccomp: str

    @property
    def has_all(self) -> bool:
        """Tells whether it has every capability there is."""
        return len(self.effective) == len(CAPABILITIES)


class Held(Struct, frozen=True):
    """Is one thing about a process in a pod, as a name and a sentence."""

    name: str
    says: str


UNKNOWN = Held("runs as", "its image's user: neither the kubelet nor the pod says whose the target is (profile compat)")
"""What is known of a process that has no ids of its own."""


def holdings(security: Security, identity: Identity) -> Holdings:
    """Returns what the process holds when it runs as ``identity`` under a config's security."""
    has = tuple(capability.name for capability in CAPABILITIES if capability.name in granted(security))
    return Holdings(
        uid=identity.uid,
        gid=identity.gid,
        effective=has if identity.uid == 0 else (),
        bounding=has,
        no_new_privs=not security.allow_privileged,
        seccomp="Unconfined" if security.allow_privileged else security.seccomp_profile,
    )


def held(security: Security, identity: Identity, pod: Pod, container: str) -> tuple[Held, ...]:
    """Returns what the process in this pod holds and reaches, in the order in which people ask."""
    has = holdings(security, identity)
    return (
        Held("runs as", _identity(has, pod, container)),
        Held("capabilities", _capabilities(has, security)),
        Held("privileges", _privileges(has)),
        Held("system calls", _system_calls(has)),
        Held("memory", _memory(has, pod, container)),
        Held("files", _files(has, pod, container)),
        Held("containers", _containers(has, pod)),
        Held("network", _network(has, pod)),
        Held("node", _node(has, security, pod)),
    )


def _identity(has: Holdings, pod: Pod, container: str) -> str:
    target = target_identity(pod, container)
    same = "the same as the target" if target == Identity(has.uid, has.gid) else "not the target's"
    return f"uid {has.uid}, gid {has.gid} ({same}){', root' if has.uid == 0 else ''}"


def _capabilities(has: Holdings, security: Security) -> str:
    if has.has_all:
        return "all 41"
    stated = (security.capabilities.add if security.capabilities else None) or ()
    if has.uid == 0:
        defaults = [name for name in has.effective if name not in stated]
        kept = f", {len(defaults)} of them the runtime's own: ALL is not dropped" if defaults else ""
        return f"{' '.join(has.effective)}{kept}" if has.effective else "none"
    if security.allow_privileged:
        return "none: it is privileged but not root; programs with file capabilities or setuid root can have all 41"
    if stated:
        return f"none: add {' '.join(stated)} does nothing for uid {has.uid}, which is not root"
    kept = "; the runtime's default ones are within reach of no program, since no_new_privs is set"
    return "none" + (kept if has.bounding else "")


def _privileges(has: Holdings) -> str:
    if has.no_new_privs:
        return "no_new_privs: setuid programs and file capabilities give it nothing more"
    return "no_new_privs is off: setuid programs and file capabilities work"


def _system_calls(has: Holdings) -> str:
    if has.seccomp == "Unconfined":
        return "not filtered"
    return "filtered by the runtime's default profile"


def _memory(has: Holdings, pod: Pod, container: str) -> str:
    if "SYS_PTRACE" in has.effective:
        return "of every process that it sees"
    target = target_identity(pod, container)
    if target == Identity(has.uid, has.gid):
        if has.uid == 0 and not has.has_all:
            return "of the target, if that holds no capability beyond its own; else it needs SYS_PTRACE"
        others = ", and of every other process of this uid that it sees" if _sees_more(pod) else ""
        return f"of the target, as its own user{others} (not where the node has Yama ptrace_scope 1, as Ubuntu does)"
    return "none: the target is another user, and it lacks SYS_PTRACE"


def _sees_more(pod: Pod) -> bool:
    return pod.spec.host_pid or pod.spec.share_process_namespace


def _files(has: Holdings, pod: Pod, container: str) -> str:
    if has.has_all:
        return "all of the target and of the node"
    overrides = [name for name in ("DAC_READ_SEARCH", "DAC_OVERRIDE") if name in has.effective]
    if "SYS_PTRACE" in has.effective and overrides:
        return f"all of the target's, by /proc/PID/root ({' '.join(overrides)}), its service account token too"
    if target_identity(pod, container) == Identity(has.uid, has.gid) or "SYS_PTRACE" in has.effective:
        return "of the target, by /proc/PID/root, as far as its uid may: environment, mounted secrets, account token"
    return "its own image's; none of the target's"


def _containers(has: Holdings, pod: Pod) -> str:
    if pod.spec.host_pid:
        return "the processes of the whole node are visible (hostPID)"
    if pod.spec.share_process_namespace:
        others = len(pod.spec.containers) + len(pod.spec.init_containers) - 1
        return f"the processes of all containers are visible (shareProcessNamespace): {others} beside the target"
    return "the target's processes only are visible"


def _network(has: Holdings, pod: Pod) -> str:
    whose = "the node's" if pod.spec.host_network else "the pod's"
    can = [f"{name}: {BY_NAME[name].gives}" for name in ("NET_RAW", "NET_ADMIN") if name in has.effective]
    scope = f"{whose} network, localhost included"
    return f"{scope}; {'; '.join(can)}" if can else f"{scope}; it cannot capture traffic"


def _node(has: Holdings, security: Security, pod: Pod) -> str:
    if security.allow_privileged:
        return "all of it: privileged" if has.uid == 0 else "its devices, as far as the uid may: privileged"
    wide = [name for name in ("SYS_ADMIN", "BPF", "PERFMON", "SYS_MODULE", "SYS_RAWIO") if name in has.effective]
    if wide:
        return "; ".join(f"{name}: {BY_NAME[name].gives}" for name in wide)
    if pod.spec.host_pid and "SYS_PTRACE" in has.effective:
        return "all of it: it may trace the node's processes"
    return "its processes are visible (hostPID)" if pod.spec.host_pid else "nothing of it"
