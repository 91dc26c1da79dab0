"""Is a PowerToolConfig fit for use? Computed from its spec alone, for the controller, ``lint`` and the status."""

import hashlib

import msgspec

from toe.api.codec import problems_of, to_builtins
from toe.api.meta import API_VERSION, ObjectMeta, Struct
from toe.api.powertoolconfig import (
    RISK_LEVEL_ANNOTATION,
    Arguments,
    Finding,
    Limits,
    OutputMode,
    PodSecurityLevel,
    PowerToolConfig,
    PowerToolConfigSpec,
    Reach,
    ResourceList,
    Security,
    Tier,
)
from toe.api.quantity import parse_bytes, parse_cpu_percent
from toe.api.reasons import Reason
from toe.api.settings import Settings
from toe.policy.arguments import MARKER, compile_pattern
from toe.policy.capabilities import BY_NAME, TIERS
from toe.policy.tier import added, drops_all, pod_security_level, reach_of, tier_of
from toe.policy.verdict import Violation

MOST_BYTES = 2**53
MOST_CPU_PERCENT = 100_000


class Readiness(Struct, frozen=True):
    """Is what toe thinks of a config: ready exactly when nothing is violated."""

    violations: tuple[Violation, ...]
    findings: tuple[Finding, ...]
    tier: Tier
    reach: tuple[Reach, ...]
    pod_security_level: PodSecurityLevel
    digest: str
    output_modes: tuple[OutputMode, ...] = ()
    collector: str = ""

    @property
    def is_ready(self) -> bool:
        """Tells whether the tool may be injected."""
        return not self.violations


def judge_config(config: PowerToolConfig, settings: Settings) -> Readiness:
    """Returns everything that is wrong with a config and everything worth knowing about it, all at once."""
    spec, security = config.spec, config.spec.effective_security
    tier = tier_of(security, config.metadata.annotations)
    violations = (
        *_place(config.metadata, settings),
        *_capabilities(security, _security_field(spec)),
        *_arguments(spec.arguments),
        *_words(spec),
        *_modes(spec),
        *_limits(spec),
        *_annotations(config.metadata),
    )
    told = {violation.field for violation in violations}
    return Readiness(
        violations=(*violations, *(violation for violation in _stored(config) if violation.field not in told)),
        findings=(*_findings(spec, security), *_tier_findings(spec, tier)),
        tier=tier,
        reach=reach_of(security),
        pod_security_level=pod_security_level(security),
        digest=digest_of(spec),
        output_modes=tuple(mode for mode in spec.output_modes if mode != "collector" or settings.collector),
        collector=settings.collector if spec.is_supervised else "",
    )


def digest_of(spec: PowerToolConfigSpec) -> str:
    """Returns ``sha256:`` and the hex hash of the canonical spec: sorted keys, defaults left out."""
    canonical = msgspec.json.encode(spec, order="deterministic")
    return "sha256:" + hashlib.sha256(canonical).hexdigest()


def _security_field(spec: PowerToolConfigSpec) -> str:
    return "spec.security" if spec.security is not None else "spec.securityContext"


def _place(metadata: ObjectMeta, settings: Settings) -> list[Violation]:
    if metadata.namespace in ("", settings.system_namespace):
        return []
    message = f"PowerToolConfigs count only in the namespace {settings.system_namespace}, not in {metadata.namespace}"
    return [Violation(Reason.WRONG_NAMESPACE, message, "metadata.namespace")]


def _stored(config: PowerToolConfig) -> list[Violation]:
    """What the definition refuses: one that was laxer, of another version or another operator's, may have let it in."""
    named = {"apiVersion": API_VERSION, "kind": "PowerToolConfig", "metadata": {"name": config.metadata.name}}
    problems = problems_of({**named, "spec": to_builtins(config.spec)})
    return [Violation(Reason.CONFIG_INVALID, problem.message, problem.path) for problem in problems]


def _capabilities(security: Security, field: str) -> list[Violation]:
    stated = security.capabilities
    if stated is None:
        return []
    found: list[Violation] = []
    for name_of_list, names in (("add", stated.add or ()), ("drop", stated.drop or ())):
        for index, name in enumerate(names):
            if name in BY_NAME or (name == "ALL" and name_of_list == "drop"):
                continue
            where = f"{field}.capabilities.{name_of_list}[{index}]"
            found.append(Violation(Reason.UNKNOWN_CAPABILITY, _capability_message(name, name_of_list), where))
    for name in sorted(set(stated.add or ()) & set(stated.drop or ())):
        message = f"{name} is both added and dropped: name it in one of the lists"
        found.append(Violation(Reason.CAPABILITY_CONFLICT, message, f"{field}.capabilities"))
    return found


def _capability_message(name: str, list_name: str) -> str:
    if name == "ALL":
        return "ALL is accepted in drop only; a tool that needs everything says allowPrivileged: true"
    canonical = name.strip().upper().removeprefix("CAP_")
    hint = f": did you mean {canonical}?" if canonical in BY_NAME else ""
    accepted = "one of the kernel's 41 names in canonical spelling (SYS_PTRACE)"
    return f"{name!r} is no capability{hint or f'; accepted is {accepted}'}" + (
        " or ALL" if list_name == "drop" and not hint else ""
    )


def _arguments(arguments: Arguments | None) -> list[Violation]:
    if arguments is None:
        return []
    patterns = [
        (f"spec.arguments.options[{index}].value.pattern", option.value.pattern)
        for index, option in enumerate(arguments.options)
        if option.value is not None and option.value.pattern is not None
    ]
    if arguments.operands is not None:
        patterns.append(("spec.arguments.operands.pattern", arguments.operands.pattern))
    found = []
    for field, pattern in patterns:
        try:
            compile_pattern(pattern)
        except ValueError as error:
            found.append(Violation(Reason.CONFIG_INVALID, f"is no RE2 pattern: {error}", field))
    for index, option in enumerate(arguments.options):
        if "=" in option.flag or option.flag == "--":
            message = f"{option.flag!r} must be one whole flag: values are their own word"
            found.append(Violation(Reason.CONFIG_INVALID, message, f"spec.arguments.options[{index}].flag"))
    return found


def _words(spec: PowerToolConfigSpec) -> list[Violation]:
    found = []
    words = [(f"spec.command[{i}]", word) for i, word in enumerate(spec.command or ())]
    words += [(f"spec.defaultArgs[{i}]", word) for i, word in enumerate(spec.default_args or ())]
    for field, word in words:
        if "\0" in word:
            found.append(Violation(Reason.CONFIG_INVALID, "a word cannot hold a NUL character", field))
        if word == MARKER:
            message = f"{MARKER} separates the administrator's words from the user's: choose another word"
            found.append(Violation(Reason.CONFIG_INVALID, message, field))
        if not spec.is_supervised and any(place in word for place in ("{output}", "{duration}", "{target.pid}")):
            message = "placeholders are expanded by the supervisor, which this tool does not have: set a command"
            found.append(Violation(Reason.CONFIG_INVALID, message, field))
    return found


def _modes(spec: PowerToolConfigSpec) -> list[Violation]:
    kept = [mode for mode in (spec.output.modes if spec.output else None) or () if mode != "ephemeral"]
    if spec.is_supervised or not kept:
        return []
    message = (
        f"files are collected by the supervisor, which this tool does not have: set a command, or leave out {kept[0]}"
    )
    return [Violation(Reason.CONFIG_INVALID, message, "spec.output.modes")]


def _limits(spec: PowerToolConfigSpec) -> list[Violation]:
    """A limit that means nothing is told: it would be no limit."""
    own, stated = spec.limits or Limits(), (spec.resources.limits if spec.resources else None) or ResourceList()
    found = []
    for field, memory in (("spec.limits.memory", own.memory), ("spec.resources.limits.memory", stated.memory)):
        if memory is not None and not 0 < (parse_bytes(memory) or 0) <= MOST_BYTES:
            message = f"{memory!r} is no memory quantity such as 256Mi"
            found.append(Violation(Reason.CONFIG_INVALID, message, field))
    if stated.cpu is not None and not 0 < (parse_cpu_percent(stated.cpu) or 0) <= MOST_CPU_PERCENT:
        message = f"{stated.cpu!r} is no CPU quantity such as 500m or 2"
        found.append(Violation(Reason.CONFIG_INVALID, message, "spec.resources.limits.cpu"))
    return found


def _annotations(metadata: ObjectMeta) -> list[Violation]:
    level = (metadata.annotations or {}).get(RISK_LEVEL_ANNOTATION)
    if level is None or level.capitalize() in TIERS:
        return []
    message = f"{level!r} is no risk level: accepted are {', '.join(tier.lower() for tier in TIERS)}"
    return [Violation(Reason.ANNOTATION_INVALID, message, f"metadata.annotations[{RISK_LEVEL_ANNOTATION}]")]


def _findings(spec: PowerToolConfigSpec, security: Security) -> list[Finding]:
    field, found = _security_field(spec), []
    is_root = security.run_as_root or security.run_as_user == 0
    gives = "privileged" if security.allow_privileged else ", ".join(sorted(added(security)))
    if gives and not is_root:
        message = (
            f"{gives} has no effect unless the tool's process is root: it takes the target's identity; "
            "set runAsRoot: true for targets that are not root"
        )
        found.append(Finding(Reason.CAPABILITY_INEFFECTIVE, message, f"{field}.capabilities.add"))
    if not security.allow_privileged and not drops_all(security):
        message = "the container runtime's default capabilities stay: drop ALL and add what the tool needs"
        found.append(Finding(Reason.DROP_ALL_MISSING, message, f"{field}.capabilities.drop"))
    if "@sha256:" not in spec.image:
        message = "a tag can be moved to other content: name the image by @sha256: digest"
        found.append(Finding(Reason.IMAGE_NOT_PINNED, message, "spec.image"))
    if not spec.is_supervised:
        message = "without the supervisor the duration is not enforced and no files are collected: set a command"
        found.append(Finding(Reason.NOT_SUPERVISED, message, "spec.supervised"))
    if spec.arguments and spec.arguments.any:
        message = "users may pass arbitrary arguments, which is arbitrary code in the tool's container"
        found.append(Finding(Reason.ARBITRARY_ARGUMENTS, message, "spec.arguments.any"))
    return found


def _tier_findings(spec: PowerToolConfigSpec, tier: Tier) -> list[Finding]:
    if tier != "Extreme" or spec.allowed_namespaces:
        return []
    message = "a tool of tier Extreme should list the namespaces it may be used in"
    return [Finding(Reason.EXTREME_NEEDS_NAMESPACES, message, "spec.allowedNamespaces")]
