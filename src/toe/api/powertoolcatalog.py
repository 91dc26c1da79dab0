"""PowerToolCatalog: what the API server itself compares every injection with, compiled from the PowerToolConfigs.

One object, ``catalog`` in the system namespace. It is positive all through: what is not written here is not accepted,
an absent list accepts nothing, and only the two flags ``allNamespaces`` and ``allContainers`` open a list. Words are
written as they are sent, each ``$`` doubled, except in ``args``, which speaks of the words that users write.
"""

from typing import Annotated, ClassVar, Literal

import msgspec

from toe.api.meta import Condition, LabelSelectorRequirement, ObjectMeta, Struct
from toe.api.powertoolconfig import EnvVar, Tier
from toe.api.schema import DNS_LABEL, Rule, entries, items, note, number, text

KIND = "PowerToolCatalog"
PLURAL = "powertoolcatalogs"
NAME = "catalog"
"""The one object that the fence reads, by name: a selector would accept what matches no object at all."""
MAX_TOOLS = 256
MAX_PATTERN = 32768

Identity = Literal["Root", "NonRoot", "Target", "Fixed"]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]

_WORD = text("one word as it is sent", most=2048)
_CAPABILITY = text("canonical name", most=32, least=1)
_NAMESPACE = text("exact name of a namespace", most=63, least=1)
_CONTAINER = text("container name", most=63, least=1)


class CatalogArguments(Struct, frozen=True):
    """Says which words a user may add: every one is a listed flag or matches the pattern as a whole.

    A word that begins with ``-`` is a flag or nothing, one that begins with ``@`` is nothing; only printable ASCII.
    With ``any`` everything is accepted but the supervisor's own marker.
    """

    any: Annotated[bool, note("arbitrary words")] = False
    flags: Annotated[
        tuple[Annotated[str, text("a flag as one whole word", most=64)], ...],
        items("flags that may be given", most=64, kind="set"),
    ] = ()
    pattern: Annotated[str, text("RE2 pattern of every other word; empty: none is accepted", most=MAX_PATTERN)] = ""


class CatalogClaim(Struct, frozen=True):
    """Is one claim that may be mounted, and where."""

    claim_name: Annotated[str, text("name of the PersistentVolumeClaim", most=253, least=1)]
    path: Annotated[str, text("mount path", most=512, least=1)]


class CatalogEnv(EnvVar, frozen=True, gc=False):
    """Is one variable with the value that it must have, as it is sent."""

    value: Annotated[str, text("literal value as it is sent", most=8192)] = ""


class CatalogTool(Struct, frozen=True):
    """Is one tool as it may be injected."""

    name: Annotated[
        str,
        text("spec.name of the config", most=40, least=1, pattern=DNS_LABEL, says="a DNS label"),
    ]
    tier: Annotated[Tier, note("for the audit log")]
    image: Annotated[str, text("exactly this image", most=512, least=1)]
    image_pull_policy: Annotated[PullPolicy, note("stated by the config, or what the API server writes for the image")]
    identity: Annotated[Identity, note("whose uid and gid the container has")]
    seccomp_profile: Annotated[
        Literal["RuntimeDefault", "Unconfined"], note("system call filter; a privileged container has none")
    ]
    command: Annotated[tuple[Annotated[str, _WORD], ...], items("exactly these words", most=128)] = ()
    fixed_args: Annotated[
        tuple[Annotated[str, _WORD], ...],
        items("exactly the first words of args, where the image's entry point runs", most=64),
    ] = ()
    args: Annotated[CatalogArguments | None, note("words that may follow; absent: none")] = None
    privileged: Annotated[bool, note("the container is privileged")] = False
    add: Annotated[
        tuple[Annotated[str, _CAPABILITY], ...], items("exactly these capabilities are added", most=41, kind="set")
    ] = ()
    drop: Annotated[
        tuple[Annotated[str, _CAPABILITY], ...], items("exactly these capabilities are dropped", most=42, kind="set")
    ] = ()
    image_user: Annotated[
        bool, note("it has no ids where the target's are not known: the image's user; for the identities of a target")
    ] = False
    user: Annotated[int | None, number("uid of the identity Fixed", least=0, most=2**31 - 1)] = None
    group: Annotated[int | None, number("gid of the identity Fixed", least=0, most=2**31 - 1)] = None
    allow_host_pid: Annotated[bool, note("it may enter a pod that has hostPID")] = msgspec.field(
        name="allowHostPID", default=False
    )
    env_names: Annotated[
        tuple[Annotated[str, text("variable name", most=64, least=1)], ...],
        items("variables of the operator: their values are a run's", most=96, kind="set"),
    ] = ()
    env: Annotated[
        tuple[CatalogEnv, ...],
        items("variables of the administrator: all of them, with these values", most=64, kind="map", keys=("name",)),
    ] = ()
    collector: Annotated[str | None, text("the value of TOE_COLLECTOR; absent: it must not be set", most=512)] = None
    claims: Annotated[tuple[CatalogClaim, ...], items("claims that may be mounted", most=16)] = ()
    all_namespaces: Annotated[bool, note("every namespace that is not protected")] = False
    namespaces: Annotated[
        tuple[Annotated[str, _NAMESPACE], ...], items("the only namespaces", most=256, kind="set")
    ] = ()
    all_containers: Annotated[bool, note("every container that is not excepted")] = False
    containers: Annotated[
        tuple[Annotated[str, _CONTAINER], ...], items("the only containers it may join", most=64, kind="set")
    ] = ()
    except_containers: Annotated[
        tuple[Annotated[str, _CONTAINER], ...], items("containers it never joins", most=64, kind="set")
    ] = ()
    pod_labels: Annotated[
        tuple[LabelSelectorRequirement, ...], items("what the labels of the pod must satisfy, all of it", most=128)
    ] = ()

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="(self.identity == 'Fixed') == has(self.user) && has(self.user) == has(self.group)",
            message="user and group belong to the identity Fixed, both of them",
            holds=lambda v: (v.get("identity") == "Fixed") == ("user" in v) == ("group" in v),
            path=".identity",
        ),
        Rule(
            cel="!has(self.envNames) || !has(self.env) || self.env.all(e, !(e.name in self.envNames))",
            message="a variable is the operator's or the administrator's, not both",
            holds=lambda v: not {e.get("name") for e in v.get("env") or ()} & set(v.get("envNames") or ()),
            path=".env",
        ),
        Rule(
            cel="!has(self.envNames) || !('TOE_COLLECTOR' in self.envNames)",
            message="the value of TOE_COLLECTOR is collector's",
            holds=lambda v: "TOE_COLLECTOR" not in (v.get("envNames") or ()),
            path=".envNames",
        ),
        Rule(
            cel="!has(self.env) || !self.env.exists(e, e.name == 'TOE_COLLECTOR')",
            message="the value of TOE_COLLECTOR is collector's",
            holds=lambda v: "TOE_COLLECTOR" not in [e.get("name") for e in v.get("env") or ()],
            path=".env",
        ),
    )


class PowerToolCatalogSpec(Struct, frozen=True):
    """Is every tool that may be injected, one entry for each name."""

    tools: Annotated[
        tuple[CatalogTool, ...], items("tools by name", most=MAX_TOOLS, kind="map", keys=("name",), default=[])
    ] = ()
    index: Annotated[
        dict[str, Annotated[int, number("position in tools, from 0", least=0, most=MAX_TOOLS - 1)]] | None,
        entries(
            "where in tools each one is, to find it without a search; where it is wrong, it is not believed",
            most=MAX_TOOLS,
        ),
    ] = None


class PowerToolCatalogStatus(Struct, frozen=True):
    """Is what the compiler of the catalog tells people; the fence reads none of it."""

    observed_generation: Annotated[int, note("generation this status speaks of")] = 0
    conditions: Annotated[
        tuple[Condition, ...], items("whether it says what the configs say", most=8, kind="map", keys=("type",))
    ] = ()


class PowerToolCatalog(Struct, frozen=True):
    """Is what the fence compares injections with. Written by the webhook's account, which cannot inject."""

    metadata: ObjectMeta
    spec: PowerToolCatalogSpec
    status: PowerToolCatalogStatus = PowerToolCatalogStatus()
    api_version: str = ""
    kind: str = ""

    PRINTER_COLUMNS: ClassVar[tuple[tuple[str, str, str], ...]] = (
        ("Tools", "string", ".spec.tools[*].name"),
        ("Current", "string", ".status.conditions[?(@.type=='Current')].status"),
        ("Age", "date", ".metadata.creationTimestamp"),
    )
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("ptcat",)
