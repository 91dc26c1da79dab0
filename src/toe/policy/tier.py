"""How dangerous a config is (tier), what it sees beyond itself (reach), and what a namespace must permit for it.

Tier is monotone: adding a capability, a flag or an annotation never lowers it. Reach is separate: a tool without a
single capability that shares the target's identity still reads its memory.
"""

from collections.abc import Mapping

from toe.api.powertoolconfig import (
    RISK_LEVEL_ANNOTATION,
    PodSecurityLevel,
    PowerToolConfigSpec,
    Reach,
    Security,
    Tier,
)
from toe.policy.capabilities import BY_NAME, DEFAULT, TIERS, highest

_READS_MEMORY = {"SYS_PTRACE", "DAC_OVERRIDE", "DAC_READ_SEARCH", "SYS_ADMIN", "SETUID"}
_READS_TRAFFIC = {"NET_RAW", "NET_ADMIN"}
_SEES_NODE = {"PERFMON", "BPF", "SYS_ADMIN"}


def added(security: Security) -> frozenset[str]:
    """Returns the capabilities that a config adds."""
    return frozenset((security.capabilities.add if security.capabilities else None) or ())


def drops_all(security: Security) -> bool:
    """Tells whether the runtime's default capabilities are taken away."""
    return "ALL" in ((security.capabilities.drop if security.capabilities else None) or ())


def granted(security: Security) -> frozenset[str]:
    """Returns what the container's bounding set holds: all 41 for privileged, else defaults less drops, and adds."""
    if security.allow_privileged:
        return frozenset(BY_NAME)
    dropped = frozenset((security.capabilities.drop if security.capabilities else None) or ())
    kept = frozenset() if "ALL" in dropped else frozenset(DEFAULT) - dropped
    return kept | added(security)


def tier_of(security: Security, annotations: Mapping[str, str] | None = None) -> Tier:
    """Returns the tier of a config: the highest of its capabilities, flags, combinations and its own risk-level."""
    has = granted(security)
    tiers: list[Tier] = [BY_NAME[name].tier for name in has if name in BY_NAME]
    if security.allow_privileged:
        tiers.append("Extreme")
    if security.allow_host_pid:
        tiers.append("Extreme" if has & {"SYS_PTRACE", "SYS_ADMIN", "KILL"} else "High")
    if "BPF" in has and has & {"PERFMON", "NET_ADMIN"}:
        tiers.append("Extreme")
    if security.run_as_root or security.run_as_user == 0:
        tiers.append("Medium")
    if security.seccomp_profile == "Unconfined":
        tiers.append("High")
    return highest(*tiers, _stated((annotations or {}).get(RISK_LEVEL_ANNOTATION, "")))


def reach_of(security: Security) -> tuple[Reach, ...]:
    """Returns what the tool sees beyond itself, in the order memory, traffic, node."""
    has = granted(security)
    reach: list[Reach] = []
    shares_identity = not (security.run_as_root or security.run_as_user == 0)
    if shares_identity or has & _READS_MEMORY:
        reach.append("memory")
    if has & _READS_TRAFFIC:
        reach.append("traffic")
    if has & _SEES_NODE or security.allow_host_pid:
        reach.append("node")
    return tuple(reach)


def withholds_files(spec: PowerToolConfigSpec) -> bool:
    """Tells whether files do not leave through the container's log: whoever may read logs would read memory or traffic.

    An administrator who lists ``ephemeral`` under ``output.modes`` has decided that they may.
    """
    reach = reach_of(spec.effective_security)
    return spec.is_supervised and not spec.lists_ephemeral and ("memory" in reach or "traffic" in reach)


def pod_security_level(security: Security) -> PodSecurityLevel:
    """Returns the Pod Security level that a namespace must permit for the tool's container.

    Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    adds = added(security)
    outside_baseline = any(name not in BY_NAME or not BY_NAME[name].baseline for name in adds)
    if (
        security.allow_privileged
        or security.allow_host_pid
        or security.seccomp_profile == "Unconfined"
        or outside_baseline
    ):
        return "privileged"
    is_root = bool(security.run_as_root) or security.run_as_user == 0
    if drops_all(security) and adds <= {"NET_BIND_SERVICE"} and not is_root:
        return "restricted"
    return "baseline"


def _stated(risk_level: str) -> Tier:
    named = risk_level.capitalize()
    return next((tier for tier in TIERS if tier == named), "Low")
