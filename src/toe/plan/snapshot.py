"""One frozen picture of everything a decision needs, with one ``now``."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from toe.api.meta import Struct
from toe.api.pod import Pod
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import PowerToolConfig
from toe.policy.readiness import Readiness
from toe.policy.request import Request
from toe.policy.verdict import Violation


class Rival(Struct, frozen=True):
    """Is another unfinished run that holds, or waits for, pods of this one."""

    name: str
    uid: str
    created: str
    """RFC 3339, so that text order is time order."""
    pods: frozenset[str]
    """UIDs of the pods it holds, or waits for."""
    tools: frozenset[str]
    """Names of its tool containers."""
    holds: bool
    """True: its targets are frozen. False: it waits, marked Conflicted."""
    max_concurrent: int = 1
    """Its tool's limit of tools in one pod at a time."""
    namespace: str = ""
    """Where it takes a place."""

    @property
    def order(self) -> tuple[str, str]:
        """Is what decides who starts first: creationTimestamp, then uid."""
        return (self.created, self.uid)


class Snapshot(Struct, frozen=True):
    """Is a run, its config, its pods and its rivals at one moment."""

    now: datetime
    request: Request
    matching: tuple[Pod, ...] = ()
    """Eligible pods that the selector matches now, by name. Only looked at before the targets are frozen."""
    pods: Mapping[str, Pod] = {}
    """Pods of frozen targets that exist, by UID."""
    rivals: tuple[Rival, ...] = ()
    refusals: Mapping[str, Violation] = {}
    """What the API server answered to an injection, by pod UID: final for that target."""
    last_written: datetime | None = None
    """When the status was last written, as far as the door remembers."""


class ConfigSnapshot(Struct, frozen=True):
    """Is a config, what is thought of it, and who else holds its tool name."""

    now: datetime
    config: PowerToolConfig
    readiness: Readiness
    holders: tuple[str, ...] = ()
    """metadata.name of every config of the system namespace with this tool name, itself included."""


def rival_of(run: PowerTool, configs: Iterable[PowerToolConfig], pods: frozenset[str], *, holds: bool) -> Rival:
    """Returns a run as others see it: what it holds or waits for, and how many its tool tolerates beside it."""
    limits = [config.spec.effective_limits.max_concurrent_per_pod for config in configs]
    return Rival(
        name=run.metadata.name,
        uid=run.metadata.uid,
        created=run.metadata.creation_timestamp,
        pods=pods,
        tools=frozenset(target.tool_container for target in run.status.targets if target.tool_container),
        holds=holds,
        max_concurrent=min(limits, default=1),
        namespace=run.metadata.namespace,
    )
