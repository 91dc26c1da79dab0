"""PowerTool: what a user asks for. Nothing in it can change the security of what runs."""

from typing import Annotated, Any, ClassVar, Literal

import msgspec

from toe.api.artifact import Artifact
from toe.api.meta import Condition, LabelSelector, ObjectMeta, Struct
from toe.api.powertoolconfig import OutputMode, Tier
from toe.api.schema import (
    DNS_LABEL,
    GO_DURATION,
    RELATIVE_PATH,
    Rule,
    absent,
    at_least_a_second,
    entries,
    foreign,
    immutable,
    items,
    note,
    number,
    text,
)

KIND = "PowerTool"

SECURITY_FIELDS = (
    "security",
    "securityContext",
    "image",
    "command",
    "env",
    "volumes",
    "privileged",
    "hostPID",
    "serviceAccountName",
    "podSpecPatch",
    "resources",
)
"""Fields that users try and only a PowerToolConfig may set: declared, so that pruning cannot hide them, and refused."""

Phase = Literal["Pending", "Running", "Completed", "Failed", "Conflicted", "Canceled"]
TargetState = Literal["Prepared", "Injected", "Running", "Succeeded", "Failed", "Refused", "Gone"]

_duration = text("a Go duration of at least 1s", most=32, least=1, pattern=GO_DURATION)


class Targets(Struct, frozen=True):
    """Says which pods and which container in them."""

    label_selector: Annotated[LabelSelector, note("pods of the run's own namespace")]
    container: Annotated[
        str | None, text("container to join; absent: the pod's default container, else its first", most=63, least=1)
    ] = None
    namespace_selector: Annotated[
        Any, foreign("refused: a run reaches the pods of its own namespace only", "object")
    ] = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        absent(
            "namespaceSelector",
            "a PowerTool reaches the pods of its own namespace only: create one PowerTool in each namespace",
        ),
        Rule(
            cel=(
                "(has(self.labelSelector.matchLabels) && self.labelSelector.matchLabels.size() > 0) || "
                "(has(self.labelSelector.matchExpressions) && "
                "self.labelSelector.matchExpressions.exists(e, e.operator in ['In', 'Exists']))"
            ),
            message="must require something: a label in matchLabels, or an In or Exists expression; "
            "an empty or purely negative selector matches strangers",
            holds=lambda v: _is_positive(v.get("labelSelector")),
            path=".labelSelector",
        ),
        Rule(
            cel=(
                "!has(self.labelSelector.matchExpressions) || self.labelSelector.matchExpressions.all(e, "
                "e.operator in ['In', 'NotIn'] ? has(e.values) && e.values.size() > 0 "
                ": !has(e.values) || e.values.size() == 0)"
            ),
            message="In and NotIn need values; Exists and DoesNotExist take none",
            holds=lambda v: _values_fit(v.get("labelSelector")),
            path=".labelSelector.matchExpressions",
        ),
    )


class Tool(Struct, frozen=True):
    """Says which tool, for how long, with which of the arguments that its config permits."""

    name: Annotated[str, text("spec.name of a PowerToolConfig", most=40, least=1, pattern=DNS_LABEL)]
    duration: Annotated[str, _duration]
    args: Annotated[
        tuple[Annotated[str, text("one word", most=1024)], ...] | None, items("words the config permits", most=64)
    ] = None
    warmup: Annotated[str | None, _duration] = None
    max_cpu_percent: Annotated[int | None, number("a stricter limit than the config's", least=1, most=100_000)] = (
        msgspec.field(name="maxCPUPercent", default=None)
    )
    resolution_preset: Annotated[Any, foreign("refused: no tool reads it", "string")] = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        at_least_a_second("duration", optional=False),
        at_least_a_second("warmup", "leave it out for none; else it must be at least 1s"),
        absent("resolutionPreset", "no tool reads a preset: give the tool's own options in args"),
    )


class ClaimOutput(Struct, frozen=True):
    """Says where on a claim the files of a run go."""

    claim_name: Annotated[str, text("a claim that the pod mounts already and the config lists", most=253, least=1)]
    path: Annotated[
        str,
        text(
            "directory below the claim's root; the run's and the pod's names follow",
            most=512,
            pattern=RELATIVE_PATH,
        ),
    ] = ""


class CollectorOutput(Struct, frozen=True):
    """Names the collector, for those who want to be sure which one it is."""

    endpoint: Annotated[
        str | None, text("the address belongs to the administrator: absent, or equal to the configured one", most=512)
    ] = None


def _with_collector_only(field: str) -> Rule:
    return Rule(
        cel=f"!has(self.{field}) || (has(self.mode) && self.mode == 'collector')",
        message=f"{field} belongs to the mode collector: leave it out of any other",
        holds=lambda v: v.get(field) is None or v.get("mode") == "collector",
        path=f".{field}",
    )


class Output(Struct, frozen=True):
    """Says how results leave the pod."""

    mode: Annotated[
        OutputMode,
        note("ephemeral: what the tool prints is the container's log; collector: files are kept; pvc: on a claim"),
    ] = "ephemeral"
    pvc: Annotated[ClaimOutput | None, note("where on which claim; with the mode pvc")] = None
    collector: Annotated[CollectorOutput | None, note("with the mode collector")] = None
    compress: Annotated[Literal["none", "zstd"] | None, note("zstd: files are kept as NAME.zst; with collector")] = None
    retention_days: Annotated[
        int | None,
        number("days the files are kept, at most the operator's own; with collector", least=1, most=3650),
    ] = None
    rolling_interval: Annotated[
        str | None,
        text("how often files are sent while the tool runs; with collector", most=32, least=1, pattern=GO_DURATION),
    ] = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="(has(self.mode) && self.mode == 'pvc') == has(self.pvc)",
            message="the mode pvc needs the claim in pvc, and only that mode has one",
            holds=lambda v: (v.get("mode") == "pvc") == (v.get("pvc") is not None),
            path=".pvc",
        ),
        *(_with_collector_only(field) for field in ("collector", "compress", "retentionDays", "rollingInterval")),
        at_least_a_second("rollingInterval"),
    )


class Requester(Struct, frozen=True):
    """Is the caller who created a run, as the API server authenticated it (authentication.k8s.io/v1 UserInfo)."""

    username: Annotated[str, text("name of the user", most=1024, least=1)]
    uid: Annotated[str, text("what tells users of one name apart in time", most=1024)] = ""
    groups: Annotated[
        tuple[Annotated[str, text("name of a group", most=1024)], ...], items("groups of the user", most=1024)
    ] = ()
    extra: Annotated[
        dict[str, Annotated[tuple[Annotated[str, text("value", most=4096)], ...], items("values", most=64)]] | None,
        entries("what else the authenticator said", most=64),
    ] = None

    @property
    def is_service_account(self) -> bool:
        """Tells whether it is a service account, which lends its rights to whoever feeds it."""
        return self.username.startswith("system:serviceaccount:")


class PowerToolSpec(Struct, frozen=True):
    """Is one run: immutable but for ``cancel``."""

    targets: Annotated[Targets, note("which pods and container")]
    tool: Annotated[Tool, note("which tool, how long, which arguments")]
    output: Annotated[Output, note("how results leave the pod")] = Output()
    cancel: Annotated[bool, note("true stops the run for good; the one field that may change")] = False
    requester: Annotated[
        Requester | None, note("who asked: stamped by admission, whatever the user writes, and never changed")
    ] = None
    budgets: Annotated[Any, foreign("not available in this version", "object")] = None
    failure_policy: Annotated[Any, foreign("not available in this version", "object")] = None
    ttl_seconds_after_finished: Annotated[Any, foreign("not available in this version", "integer")] = None
    schedule: Annotated[Any, foreign("refused: a run happens once", "string")] = None
    security: Annotated[Any, foreign("refused", "object")] = None
    security_context: Annotated[Any, foreign("refused", "object")] = None
    image: Annotated[Any, foreign("refused", "string")] = None
    command: Annotated[Any, foreign("refused", "words")] = None
    env: Annotated[Any, foreign("refused", "objects")] = None
    volumes: Annotated[Any, foreign("refused", "objects")] = None
    privileged: Annotated[Any, foreign("refused", "boolean")] = None
    host_pid: Annotated[Any, foreign("refused", "boolean")] = msgspec.field(name="hostPID", default=None)
    service_account_name: Annotated[Any, foreign("refused", "string")] = None
    pod_spec_patch: Annotated[Any, foreign("refused", "string")] = None
    resources: Annotated[Any, foreign("refused", "object")] = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        *(
            absent(field, f"{field} is the administrator's: it is set in PowerToolConfig only")
            for field in SECURITY_FIELDS
        ),
        absent("budgets", "budgets is not available in this version: leave it out"),
        absent("failurePolicy", "failurePolicy is not available in this version: leave it out"),
        absent("ttlSecondsAfterFinished", "ttlSecondsAfterFinished is not available in this version: leave it out"),
        absent("schedule", "a PowerTool runs once and never changes: create one for each run"),
        immutable("targets", required=True),
        immutable("tool", required=True),
        immutable("output"),
        immutable("requester"),
        Rule(
            cel="!(has(oldSelf.cancel) && oldSelf.cancel) || (has(self.cancel) && self.cancel)",
            message="a canceled run stays canceled: create a new one",
            path=".cancel",
        ),
    )


class UsedConfig(Struct, frozen=True, gc=False):
    """Is the config as judged: which one, in which state."""

    name: Annotated[str, text("metadata.name", most=253)]
    uid: Annotated[str, text("metadata.uid", most=64)] = ""
    generation: Annotated[int, note("metadata.generation")] = 0
    digest: Annotated[str, text("sha256 of the canonical spec", most=80)] = ""
    tier: Annotated[Tier | None, note("tier when the run was judged")] = None


class Reported(Struct, frozen=True):
    """Is what the supervisor wrote about itself; a compromised target could forge it, so nothing is decided from it."""

    uid: Annotated[int | None, note("real uid of the tool")] = None
    gid: Annotated[int | None, note("real gid of the tool")] = None
    cap_eff: Annotated[str, text("effective capabilities, hex", most=32)] = ""
    no_new_privs: Annotated[bool | None, note("no_new_privs was set")] = None
    seccomp: Annotated[int | None, note("0 none, 1 strict, 2 filter")] = None


class Target(Struct, frozen=True):
    """Is one pod and one container in it, frozen when the run began."""

    pod: Annotated[str, text("pod name", most=253)]
    pod_uid: Annotated[str, text("pod UID", most=64)] = msgspec.field(name="podUID")
    container: Annotated[str, text("target container", most=63)]
    state: Annotated[TargetState, note("where this target stands")] = "Prepared"
    node: Annotated[str, text("node", most=253)] = ""
    tool_container: Annotated[str, text("name of the ephemeral container", most=63)] = ""
    target_container_id: Annotated[str, text("container id of the target when it was frozen", most=256)] = (
        msgspec.field(name="targetContainerID", default="")
    )
    reason: Annotated[str, text("one word", most=64)] = ""
    message: Annotated[str, text("one sentence", most=1024)] = ""
    exit_code: Annotated[int | None, note("exit code of the tool")] = None
    started_at: Annotated[str, text("when the tool started", most=32)] = ""
    finished_at: Annotated[str, text("when the tool ended", most=32)] = ""
    image_id: Annotated[str, text("image digest that really ran", most=512)] = msgspec.field(name="imageID", default="")
    reported: Annotated[Reported | None, note("what the supervisor wrote about itself")] = None


class PowerToolStatus(Struct, frozen=True):
    """Is what the controller knows of the run. ``phase`` is for the printed column; conditions are for programs."""

    phase: Annotated[Phase | None, note("Pending, Running, Completed, Failed, Conflicted or Canceled")] = None
    observed_generation: Annotated[int, note("generation this status speaks of")] = 0
    conditions: Annotated[
        tuple[Condition, ...],
        items("Accepted, Running, Completed, Failed, Conflicted, Finished", most=16, kind="map", keys=("type",)),
    ] = ()
    config: Annotated[UsedConfig | None, note("the config as judged")] = None
    not_after: Annotated[str, text("no tool of this run lives longer", most=32)] = ""
    collector: Annotated[str, text("where its tools hold their leases; empty: they hold none", most=512)] = ""
    selected_pods: Annotated[int, note("targets in all")] = 0
    completed_pods: Annotated[int, note("targets that succeeded")] = 0
    failed_pods: Annotated[int, note("targets that failed, were refused or are gone")] = 0
    started_at: Annotated[str, text("when the targets were frozen", most=32)] = ""
    finished_at: Annotated[str, text("when the last target ended", most=32)] = ""
    bytes_written: Annotated[int, note("bytes of all artifacts")] = 0
    artifacts: Annotated[tuple[Artifact, ...], items("files that the tools produced", most=1000)] = ()
    last_error: Annotated[str, text("the first cause of failure", most=1024)] = ""
    targets: Annotated[
        tuple[Target, ...], items("frozen targets", most=500, kind="map", keys=("podUID", "container"))
    ] = ()

    @property
    def is_finished(self) -> bool:
        """Tells whether the run is terminal: no further write, ever."""
        return any(c.type == "Finished" and c.status == "True" for c in self.conditions)

    @property
    def is_frozen(self) -> bool:
        """Tells whether the targets were written: the record of the intent."""
        return bool(self.targets)


class PowerTool(Struct, frozen=True):
    """Is one run that a user asks for."""

    metadata: ObjectMeta
    spec: PowerToolSpec
    status: PowerToolStatus = PowerToolStatus()
    api_version: str = ""
    kind: str = ""

    PRINTER_COLUMNS: ClassVar[tuple[tuple[str, str, str], ...]] = (
        ("Tool", "string", ".spec.tool.name"),
        ("Phase", "string", ".status.phase"),
        ("Pods", "integer", ".status.selectedPods"),
        ("Done", "integer", ".status.completedPods"),
        ("Age", "date", ".metadata.creationTimestamp"),
    )
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("pt",)


def _is_positive(selector: Any) -> bool:
    if not isinstance(selector, dict):
        return False
    expressions = selector.get("matchExpressions") or ()
    return bool(selector.get("matchLabels")) or any(e.get("operator") in ("In", "Exists") for e in expressions)


def _values_fit(selector: Any) -> bool:
    if not isinstance(selector, dict):
        return True
    return all(
        bool(e.get("values")) == (e.get("operator") in ("In", "NotIn")) for e in selector.get("matchExpressions") or ()
    )
