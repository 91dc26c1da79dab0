"""PowerToolConfig: what an administrator permits. Whoever may write one is root on every node."""

from typing import Annotated, ClassVar, Literal

import msgspec

from toe.api.meta import Condition, LabelSelector, ObjectMeta, Struct
from toe.api.quantity import parse_cpu_percent
from toe.api.schema import (
    DNS_LABEL,
    ENV_NAME,
    FLAG,
    FORBIDDEN,
    GO_DURATION,
    IMAGE,
    MOUNT_PATH,
    QUANTITY,
    REQUIRED,
    Rule,
    at_least_a_second,
    is_dns_label,
    items,
    note,
    number,
    text,
)

KIND = "PowerToolConfig"
SECURITY_ANNOTATIONS = "security.toe.run/"
TOOL_ANNOTATIONS = "tool.toe.run/"
RISK_LEVEL_ANNOTATION = SECURITY_ANNOTATIONS + "risk-level"

Tier = Literal["Low", "Medium", "High", "Extreme"]
Reach = Literal["memory", "traffic", "node"]
PodSecurityLevel = Literal["restricted", "baseline", "privileged"]
OutputMode = Literal["ephemeral", "pvc", "collector"]

_capability = text("canonical name of one of the kernel's 41 capabilities, such as SYS_PTRACE", most=32, least=1)
_flag = text(
    "a flag as one whole word, such as -c or --proto",
    most=64,
    least=2,
    pattern=FLAG,
)
_pattern = text("an RE2 pattern that the whole value must match", most=256, least=1)


class Capabilities(Struct, frozen=True):
    """Lists what is added to and dropped from the container runtime's default capabilities."""

    add: Annotated[
        tuple[Annotated[str, _capability], ...] | None,
        items("capabilities to grant", most=41, kind="set", nullable=True),
    ] = None
    drop: Annotated[
        tuple[Annotated[str, _capability], ...] | None,
        items("capabilities to take away; ALL takes every one", most=42, kind="set", nullable=True),
    ] = None


class Security(Struct, frozen=True):
    """Is the security context of the tool's container, whole: nothing else is ever added."""

    allow_privileged: Annotated[bool, note("the container is privileged: root on the node")] = False
    allow_host_pid: Annotated[
        bool, note("the tool may enter a pod that already has hostPID; a container cannot obtain host PID by itself")
    ] = msgspec.field(name="allowHostPID", default=False)
    capabilities: Annotated[Capabilities | None, note("Linux capabilities; null means none named", nullable=True)] = (
        None
    )
    run_as_root: Annotated[
        bool | None, note("true: uid 0; false: the target's uid and gid, never root; absent: the target's own identity")
    ] = None
    run_as_user: Annotated[int | None, number("explicit uid", least=0, most=2**31 - 1)] = None
    run_as_group: Annotated[int | None, number("explicit gid", least=0, most=2**31 - 1)] = None
    seccomp_profile: Annotated[
        Literal["RuntimeDefault", "Unconfined"], note("system call filter; Unconfined raises the tier")
    ] = "RuntimeDefault"

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!(has(self.runAsRoot) && self.runAsRoot && (has(self.runAsUser) || has(self.runAsGroup)))",
            message="runAsRoot: true and runAsUser or runAsGroup exclude each other: name one",
            holds=lambda v: not (v.get("runAsRoot") and ("runAsUser" in v or "runAsGroup" in v)),
            path=".runAsRoot",
        ),
        Rule(
            cel="!(has(self.runAsRoot) && !self.runAsRoot && has(self.runAsUser) && self.runAsUser == 0)",
            message="runAsRoot: false and runAsUser: 0 contradict each other",
            holds=lambda v: not (v.get("runAsRoot") is False and v.get("runAsUser") == 0),
            path=".runAsUser",
        ),
        Rule(
            cel="has(self.runAsUser) || !has(self.runAsGroup)",
            message="runAsGroup needs runAsUser: a group alone leaves the user to the image",
            holds=lambda v: "runAsUser" in v or "runAsGroup" not in v,
            path=".runAsGroup",
        ),
        Rule(
            cel="has(self.runAsGroup) || !has(self.runAsUser)",
            message="runAsUser needs runAsGroup: without it the group is the image's, often 0",
            holds=lambda v: "runAsGroup" in v or "runAsUser" not in v,
            path=".runAsUser",
        ),
    )


class IntegerRange(Struct, frozen=True, gc=False):
    """Accepts a whole number within the bounds, both included."""

    min: Annotated[int, number("the smallest accepted", least=-(2**53), most=2**53)]
    max: Annotated[int, number("the largest accepted", least=-(2**53), most=2**53)]

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.min <= self.max",
            message="min must not exceed max",
            holds=lambda v: v.get("min", 0) <= v.get("max", 0),
            path=".min",
        ),
    )


class OptionValue(Struct, frozen=True):
    """Says what the word after a flag may be: exactly one of integer, enum, pattern."""

    integer: Annotated[IntegerRange | None, note("a whole number within bounds")] = None
    enum: Annotated[
        tuple[Annotated[str, text("one accepted word", most=128, least=1)], ...] | None,
        items("one of these words", most=64, least=1, kind="set"),
    ] = None
    pattern: Annotated[str | None, _pattern] = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="(has(self.integer) ? 1 : 0) + (has(self.enum) ? 1 : 0) + (has(self.pattern) ? 1 : 0) == 1",
            message="exactly one of integer, enum, pattern",
            holds=lambda v: sum(v.get(key) is not None for key in ("integer", "enum", "pattern")) == 1,
        ),
    )


class Option(Struct, frozen=True):
    """Is one flag that users may give, once or with a value."""

    flag: Annotated[str, _flag]
    value: Annotated[OptionValue | None, note("what the next word must be; absent: the flag takes no value")] = None


class Operands(Struct, frozen=True):
    """Is the words that are no flags: a filter, a host name."""

    max: Annotated[int, number("how many", least=1, most=64)]
    pattern: Annotated[str, _pattern]


class Arguments(Struct, frozen=True):
    """Is what users may add to the administrator's words; absent: nothing."""

    options: Annotated[tuple[Option, ...], items("flags that users may give", most=64, kind="map", keys=("flag",))] = ()
    operands: Annotated[Operands | None, note("words that are no flags; absent: none")] = None
    any: Annotated[
        bool, note("the explicit opt-out: arbitrary arguments, reported as arbitrary code in the tool's container")
    ] = False

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!(has(self.any) && self.any && "
            "((has(self.options) && self.options.size() > 0) || has(self.operands)))",
            message="any: true accepts everything: leave options and operands out",
            holds=lambda v: not (v.get("any") and (v.get("options") or v.get("operands"))),
            path=".any",
        ),
    )


class AllowedTargets(Struct, frozen=True):
    """Narrows which pods and containers the tool may join."""

    pod_selector: Annotated[LabelSelector | None, note("labels the pod must have")] = None
    containers: Annotated[
        tuple[Annotated[str, text("container name", most=63, least=1)], ...] | None,
        items("the only containers it may join", most=64, least=1, kind="set"),
    ] = None
    except_containers: Annotated[
        tuple[Annotated[str, text("container name", most=63, least=1)], ...] | None,
        items("containers it may never join, such as a vault agent", most=64, kind="set"),
    ] = None


class Limits(Struct, frozen=True):
    """Bounds every run of the tool."""

    max_duration: Annotated[
        str,
        text(
            "the longest duration and warmup together, a Go duration",
            most=32,
            pattern=GO_DURATION,
        ),
    ] = "1h"
    max_targets: Annotated[int, number("more matching pods refuse the run", least=1, most=500)] = 50
    max_artifact_bytes: Annotated[int, number("bytes of all files of one target", least=1, most=2**53)] = 2**30
    max_concurrent_per_pod: Annotated[int, number("tools in one pod at a time", least=1, most=16)] = 1
    memory: Annotated[
        str | None,
        text(
            "resident memory at which the tool is ended, such as 256Mi",
            most=32,
            pattern=QUANTITY,
        ),
    ] = None
    cpu_percent: Annotated[
        int | None, number("CPU use at which the tool is ended, percent of one core", least=1, most=100_000)
    ] = None

    RULES: ClassVar[tuple[Rule, ...]] = (at_least_a_second("maxDuration"),)


class ClaimPath(Struct, frozen=True):
    """Is one claim that the pvc mode may write to, and where it is mounted."""

    claim_name: Annotated[str, text("name of the PersistentVolumeClaim", most=253, least=1)]
    path: Annotated[
        str,
        text(
            "mount path in the tool's container",
            most=512,
            least=1,
            pattern=MOUNT_PATH,
        ),
    ]


class OutputPolicy(Struct, frozen=True):
    """Says how results may leave the pod."""

    modes: Annotated[
        tuple[OutputMode, ...] | None,
        items("modes that users may choose; absent: ephemeral and collector", most=3, least=1, kind="set"),
    ] = None
    volumes: Annotated[tuple[ClaimPath, ...] | None, items("claims of the pvc mode", most=16)] = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="(has(self.modes) && 'pvc' in self.modes) == (has(self.volumes) && self.volumes.size() > 0)",
            message="the mode pvc needs volumes, and only that mode has any",
            holds=lambda v: ("pvc" in (v.get("modes") or ())) == bool(v.get("volumes")),
            path=".volumes",
        ),
        Rule(
            cel="!has(self.volumes) || self.volumes.all(v, self.volumes.exists_one(o, o.claimName == v.claimName))",
            message="each claim once",
            holds=lambda v: _is_unique([c.get("claimName") for c in v.get("volumes") or ()]),
            path=".volumes",
        ),
    )


def _is_unique(names: list[object]) -> bool:
    return len(names) == len(set(names))


class EnvVar(Struct, frozen=True, gc=False):
    """Is a literal environment variable."""

    name: Annotated[str, text("variable name", most=128, least=1, pattern=ENV_NAME)]
    value: Annotated[str, text("literal value", most=4096)] = ""


class ResourceList(Struct, frozen=True):
    """Is a set of quantities as the Go implementation's manifests write it."""

    cpu: Annotated[str | None, text("CPU, such as 500m", most=32)] = None
    memory: Annotated[str | None, text("memory, such as 256Mi", most=32)] = None


class Resources(Struct, frozen=True):
    """Is for manifests of the Go implementation: its limits become ``limits.memory`` and ``limits.cpuPercent``."""

    requests: Annotated[ResourceList | None, note("has no meaning for an ephemeral container")] = None
    limits: Annotated[ResourceList | None, note("kept by the supervisor: a tool over them is ended")] = None


class PowerToolConfigSpec(Struct, frozen=True):
    """Is one tool: its image, its words, its security, and who may use it where."""

    name: Annotated[
        str,
        text(
            "what users write in spec.tool.name; unique in the system namespace",
            most=40,
            least=1,
            pattern=DNS_LABEL,
        ),
    ]
    image: Annotated[
        str,
        text(
            "container image, by digest in production",
            most=512,
            least=1,
            pattern=IMAGE,
        ),
    ]
    image_pull_policy: Annotated[Literal["Always", "IfNotPresent", "Never"] | None, note("as in a pod")] = None
    description: Annotated[str, text("what the tool shows, for people", most=1024)] = ""
    version: Annotated[str, text("version of the tool, for people", most=64)] = ""
    suspended: Annotated[bool, note("the administrator's kill switch: no new injection")] = False
    security: Annotated[Security | None, note("the container's security, whole")] = None
    security_context: Annotated[
        Security | None, note("another name of security, as the Go implementation's manifests write it")
    ] = None
    resources: Annotated[Resources | None, note("accepted for manifests of the Go implementation")] = None
    command: Annotated[
        tuple[Annotated[str, text("one word", most=1024)], ...] | None,
        items("the tool's words, run by the supervisor", most=32, least=1),
    ] = None
    default_args: Annotated[
        tuple[Annotated[str, text("one word", most=1024)], ...] | None,
        items("words that users can neither remove nor override", most=64),
    ] = None
    arguments: Annotated[Arguments | None, note("what users may add; absent: nothing")] = None
    allowed_namespaces: Annotated[
        tuple[Annotated[str, text("exact name of a namespace", most=63, least=1)], ...] | None,
        items("exact names; absent: every namespace that is not protected", most=256, least=1, kind="set"),
    ] = None
    allowed_targets: Annotated[AllowedTargets | None, note("narrows pods and containers")] = None
    supervised: Annotated[
        bool | None, note("toe-run is the image's supervisor; default: true exactly when command is set")
    ] = None
    env: Annotated[
        tuple[EnvVar, ...] | None, items("literal environment of the tool", most=64, kind="map", keys=("name",))
    ] = None
    limits: Annotated[Limits | None, note("bounds of every run")] = None
    output: Annotated[OutputPolicy | None, note("how results may leave")] = None
    stop_signal: Annotated[Literal["SIGINT", "SIGTERM"], note("what ends the tool at its duration")] = "SIGINT"

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.security) != has(self.securityContext)",
            message="exactly one of security and securityContext (the same thing under two names)",
            holds=lambda v: (v.get("security") is None) != (v.get("securityContext") is None),
            path=".security",
            reason=REQUIRED,
        ),
        Rule(
            cel="!has(self.supervised) || !self.supervised || has(self.command)",
            message="supervised: true needs a command for the supervisor to run",
            holds=lambda v: not v.get("supervised") or v.get("command") is not None,
            path=".supervised",
        ),
        Rule(
            cel="!has(self.allowedNamespaces) || "
            "self.allowedNamespaces.all(n, n.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",
            message="exact namespace names only (lower case letters, digits and '-'): wildcards are not understood",
            holds=lambda v: all(is_dns_label(name) for name in v.get("allowedNamespaces") or ()),
            path=".allowedNamespaces",
        ),
        Rule(
            cel="!has(self.env) || self.env.all(e, !e.name.startsWith('TOE_'))",
            message="names beginning with TOE_ are the operator's",
            holds=lambda v: all(not str(e.get("name", "")).startswith("TOE_") for e in v.get("env") or ()),
            path=".env",
            reason=FORBIDDEN,
        ),
    )

    @property
    def effective_security(self) -> Security:
        """Is ``security`` or its other name; an empty one where both lack, which no Ready config has."""
        return self.security or self.security_context or Security()

    @property
    def is_supervised(self) -> bool:
        """Tells whether toe-run starts the tool: as stated, else exactly when there is a command."""
        return self.command is not None if self.supervised is None else self.supervised

    @property
    def effective_limits(self) -> Limits:
        """Is ``limits`` with the Go manifests' ``resources.limits`` where ``limits`` is silent."""
        limits = self.limits or Limits()
        stated = (self.resources.limits if self.resources else None) or ResourceList()
        return msgspec.structs.replace(
            limits,
            memory=limits.memory or stated.memory,
            cpu_percent=limits.cpu_percent or (parse_cpu_percent(stated.cpu) if stated.cpu else None),
        )

    @property
    def output_modes(self) -> tuple[OutputMode, ...]:
        """Is the modes users may choose; without the supervisor there is nothing that collects files."""
        stated = self.output.modes if self.output else None
        return stated or (("ephemeral", "collector") if self.is_supervised else ("ephemeral",))

    @property
    def lists_ephemeral(self) -> bool:
        """Tells whether an administrator wrote down that results may leave through the container's log."""
        return "ephemeral" in ((self.output.modes if self.output else None) or ())

    def claim(self, name: str) -> ClaimPath | None:
        """Returns the claim of that name that the pvc mode may write to; None for none."""
        listed = (self.output.volumes if self.output else None) or ()
        return next((claim for claim in listed if claim.claim_name == name), None)


class Finding(Struct, frozen=True, gc=False):
    """Is something an administrator should know about a config, which does not stop it."""

    reason: Annotated[str, text("one word", most=64)]
    message: Annotated[str, text("one sentence", most=1024)]
    field: Annotated[str, text("the field it speaks of", most=256)] = ""


class PowerToolConfigStatus(Struct, frozen=True):
    """Is what toe thinks of the config, for people: readiness is computed from the spec, never read from here."""

    observed_generation: Annotated[int, note("generation this status speaks of")] = 0
    conditions: Annotated[tuple[Condition, ...], items("Ready", most=8, kind="map", keys=("type",))] = ()
    tier: Annotated[Tier | None, note("Low, Medium, High or Extreme")] = None
    reach: Annotated[tuple[Reach, ...], items("what the tool can see beyond itself", most=3)] = ()
    pod_security_level: Annotated[PodSecurityLevel | None, note("level that a namespace must permit")] = None
    output_modes: Annotated[
        tuple[OutputMode, ...], items("modes that users may choose here, the collector only where there is one", most=3)
    ] = ()
    collector: Annotated[str, text("the collector's address; empty where there is none", most=512)] = ""
    digest: Annotated[str, text("sha256 of the canonical spec", most=80)] = ""
    findings: Annotated[tuple[Finding, ...], items("what an administrator should know", most=64)] = ()


class PowerToolConfig(Struct, frozen=True):
    """Is one tool that an administrator permits. Counts only in the system namespace."""

    metadata: ObjectMeta
    spec: PowerToolConfigSpec
    status: PowerToolConfigStatus = PowerToolConfigStatus()
    api_version: str = ""
    kind: str = ""

    PRINTER_COLUMNS: ClassVar[tuple[tuple[str, str, str], ...]] = (
        ("Tool", "string", ".spec.name"),
        ("Tier", "string", ".status.tier"),
        ("Needs", "string", ".status.podSecurityLevel"),
        ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status'),
        ("Age", "date", ".metadata.creationTimestamp"),
    )
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("ptc",)
