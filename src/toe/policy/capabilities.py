"""The kernel's 41 capabilities with the tier of each: a policy, kept as data with a version.

**Extreme**: one is enough to control the host's kernel, hardware or arbitrary host files. **High**: breaks container or
evidence boundaries, or changes host-wide state. **Medium**: reaches other processes, traffic or resources in limited
ways. **Low**: little beyond the own container. Numbers and names: Linux, include/uapi/linux/capability.h.
Tiers of SYS_PTRACE, SYS_ADMIN, NET_ADMIN, DAC_OVERRIDE, SETUID, SETGID, SYS_MODULE, SYS_RAWIO, SYS_BOOT, MAC_ADMIN and
MAC_OVERRIDE are those of the source document.
"""

from toe.api.meta import Struct
from toe.api.powertoolconfig import Tier

VERSION = 1
TIERS: tuple[Tier, ...] = ("Low", "Medium", "High", "Extreme")
"""From least to most."""


class Capability(Struct, frozen=True, gc=False):
    """Is one capability: its tier, what it gives a tool, and which lists it is on.

    ``baseline``: Pod Security baseline permits adding it. ``default``: containerd grants it unless dropped.
    """

    number: int
    name: str
    tier: Tier
    gives: str
    baseline: bool = False
    default: bool = False


CAPABILITIES: tuple[Capability, ...] = (
    Capability(0, "CHOWN", "Medium", "take ownership of files in shared volumes and the target's root", True, True),
    Capability(1, "DAC_OVERRIDE", "High", "read and write any visible file, the target's secrets included", True, True),
    Capability(2, "DAC_READ_SEARCH", "Extreme", "open host files by handle on a shared file system"),
    Capability(3, "FOWNER", "Medium", "change modes of other users' files in volumes", True, True),
    Capability(4, "FSETID", "Low", "keep setuid bits on files it modifies", True, True),
    Capability(5, "KILL", "Low", "signal any visible process", True, True),
    Capability(6, "SETGID", "High", "join any group, those of volumes included", True, True),
    Capability(7, "SETUID", "High", "become any user, the target's included", True, True),
    Capability(8, "SETPCAP", "Medium", "change capability sets within limits", True, True),
    Capability(9, "LINUX_IMMUTABLE", "Medium", "set and clear immutable and append-only flags"),
    Capability(10, "NET_BIND_SERVICE", "Low", "listen on ports below 1024", True, True),
    Capability(11, "NET_BROADCAST", "Low", "nothing: the kernel does not use it"),
    Capability(12, "NET_ADMIN", "Medium", "change the pod's routes, firewall and interfaces; redirect its traffic"),
    Capability(13, "NET_RAW", "Medium", "read all traffic of the pod and forge packets", default=True),
    Capability(14, "IPC_LOCK", "Low", "lock memory"),
    Capability(15, "IPC_OWNER", "Medium", "read and write others' System V IPC in the pod"),
    Capability(16, "SYS_MODULE", "Extreme", "load kernel modules: code in the host's kernel"),
    Capability(17, "SYS_RAWIO", "Extreme", "raw access to hardware and memory"),
    Capability(18, "SYS_CHROOT", "Medium", "change root: a helper step in escapes", True, True),
    Capability(19, "SYS_PTRACE", "Medium", "read the memory of and inject code into visible processes"),
    Capability(20, "SYS_PACCT", "Medium", "switch process accounting"),
    Capability(21, "SYS_ADMIN", "High", "mount, enter namespaces, load BPF: as good as root on the node"),
    Capability(22, "SYS_BOOT", "Extreme", "reboot, or start another kernel"),
    Capability(23, "SYS_NICE", "Medium", "take real-time priority: starve the node"),
    Capability(24, "SYS_RESOURCE", "Medium", "exceed limits, quotas and reserved blocks"),
    Capability(25, "SYS_TIME", "High", "set the host's clock"),
    Capability(26, "SYS_TTY_CONFIG", "Medium", "hang up terminals"),
    Capability(27, "MKNOD", "Medium", "create device nodes", True, True),
    Capability(28, "LEASE", "Low", "delay other openers of a file"),
    Capability(29, "AUDIT_WRITE", "Low", "write records to the kernel's audit log", True, True),
    Capability(30, "AUDIT_CONTROL", "High", "change the host's audit rules: destroys evidence"),
    Capability(31, "SETFCAP", "Medium", "give capabilities to files in shared volumes", True, True),
    Capability(32, "MAC_OVERRIDE", "High", "bypass mandatory access control"),
    Capability(33, "MAC_ADMIN", "High", "change mandatory access control"),
    Capability(34, "SYSLOG", "Medium", "read the kernel's log and addresses"),
    Capability(35, "WAKE_ALARM", "Low", "wake the system"),
    Capability(36, "BLOCK_SUSPEND", "Low", "prevent suspend"),
    Capability(37, "AUDIT_READ", "Medium", "read the host's audit stream"),
    Capability(38, "PERFMON", "High", "watch the whole node's performance events"),
    Capability(39, "BPF", "High", "load BPF programs, which see beyond the pod"),
    Capability(40, "CHECKPOINT_RESTORE", "Medium", "read others' mapped files, choose process ids"),
)

BY_NAME: dict[str, Capability] = {capability.name: capability for capability in CAPABILITIES}
DEFAULT = tuple(capability.name for capability in CAPABILITIES if capability.default)
"""What containerd grants unless dropped (14)."""


def highest(*tiers: Tier) -> Tier:
    """Returns the highest of the tiers; Low for none."""
    return max(tiers, key=TIERS.index, default="Low")
