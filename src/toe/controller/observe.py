"""Read everything that a decision needs: four caches with indexes, and a snapshot out of them, without a request."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from datetime import datetime

from toe.api.meta import Struct
from toe.api.pod import Pod
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.reasons import Reason
from toe.api.settings import Settings
from toe.kube.cache import Cache
from toe.kube.resource import Namespace
from toe.plan.snapshot import ConfigSnapshot, Rival, Snapshot, rival_of
from toe.plan.targets import ENDED
from toe.policy.access import Answers, Question
from toe.policy.identity import is_eligible
from toe.policy.readiness import Readiness, judge_config
from toe.policy.request import JudgedConfig, Request
from toe.policy.rights import questions
from toe.policy.verdict import Violation

UNFINISHED = "unfinished"
HELD_POD = "held-pod"
CONFLICTED = "conflicted"
WAITING = "waiting"
ACTIVE = "active"
BUSY = "busy"
TOOL = "tool"


def held_pods(run: PowerTool) -> tuple[str, ...]:
    """Returns the UIDs of the pods that an unfinished run holds: frozen targets that have not ended."""
    if run.status.is_finished:
        return ()
    return tuple(target.pod_uid for target in run.status.targets if target.state not in ENDED)


def index_tool_of_run(run: PowerTool) -> Iterable[Hashable]:
    """Indexes unfinished runs by the tool they name."""
    return () if run.status.is_finished else (run.spec.tool.name,)


def index_conflicted(run: PowerTool) -> Iterable[Hashable]:
    """Indexes runs that wait for pods taken by others, by namespace."""
    waits = run.status.phase == "Conflicted" and not run.status.is_finished
    return (run.metadata.namespace,) if waits else ()


def claims(run: PowerTool) -> frozenset[Hashable]:
    """Returns what a run keeps from others: the pods it holds, and the turn that it has from when it waits for pods."""
    has_a_turn = run.status.is_frozen or run.status.phase == "Conflicted"
    if run.status.is_finished or not has_a_turn:
        return frozenset()
    return frozenset((run.metadata.namespace, *held_pods(run)))


def index_waiting(run: PowerTool) -> Iterable[Hashable]:
    """Indexes runs whose targets are not frozen yet, by namespace."""
    return () if run.status.is_finished or run.status.is_frozen else (run.metadata.namespace,)


def index_active(run: PowerTool) -> Iterable[Hashable]:
    """Indexes runs that hold a place of their namespace: frozen and not finished."""
    return (run.metadata.namespace,) if run.status.is_frozen and not run.status.is_finished else ()


def index_busy(run: PowerTool) -> Iterable[Hashable]:
    """Indexes runs that wait for a place in their namespace."""
    waits = any(c.type == "Accepted" and c.reason == Reason.NAMESPACE_BUSY for c in run.status.conditions)
    return (run.metadata.namespace,) if waits and not run.status.is_finished else ()


RUN_INDEXES = {
    ACTIVE: index_active,
    BUSY: index_busy,
    HELD_POD: held_pods,
    TOOL: index_tool_of_run,
    CONFLICTED: index_conflicted,
    WAITING: index_waiting,
}
CONFIG_INDEXES = {TOOL: lambda config: (config.spec.name,)}


class Caches(Struct, frozen=True):
    """Is the four collections the controller follows."""

    runs: Cache[PowerTool]
    configs: Cache[PowerToolConfig]
    pods: Cache[Pod]
    namespaces: Cache[Namespace]

    @property
    def all(self) -> tuple[Cache[PowerTool], Cache[PowerToolConfig], Cache[Pod], Cache[Namespace]]:
        """Is the caches, for what concerns each of them."""
        return (self.runs, self.configs, self.pods, self.namespaces)

    @property
    def live(self) -> bool:
        """Tells whether all of them follow the server: what is stale is not decided from."""
        return all(cache.live for cache in self.all)


class Memory:
    """Is what one process remembers between passes; losing it costs a few requests, never correctness.

    ``reserved`` holds runs whose freezing is being written: two runs that are judged at the same moment must not both
    find a pod free. ``refusals`` is what the API server answered to injections, ``written`` when a status was
    written.
    """

    def __init__(self) -> None:
        self.reserved: dict[str, Rival] = {}
        self.refusals: dict[str, dict[str, Violation]] = {}
        self.written: dict[str, datetime] = {}

    def refuse(self, run_uid: str, pod_uid: str, violation: Violation) -> None:
        """Remembers that the API server refused an injection for good."""
        self.refusals.setdefault(run_uid, {})[pod_uid] = violation

    def forget(self, run_uid: str) -> None:
        """Drops everything about a run that is finished or gone."""
        self.reserved.pop(run_uid, None)
        self.refusals.pop(run_uid, None)
        self.written.pop(run_uid, None)


class Observer:
    """Makes snapshots."""

    def __init__(
        self, caches: Caches, settings: Settings, memory: Memory, fence_missing: Callable[[], str] = lambda: ""
    ) -> None:
        self._fence_missing = fence_missing
        self._caches = caches
        self._settings = settings
        self._memory = memory
        self._judged: dict[str, tuple[str, Readiness]] = {}
        self._names: Counter[str] = Counter()

    def questions(self, snapshot: Snapshot) -> frozenset[Question]:
        """Returns the rights that must be asked before a run injects anything; none where it will not."""
        request = snapshot.request
        run = request.run
        may_inject = not run.status.is_frozen or any(target.state == "Prepared" for target in run.status.targets)
        if run.status.is_finished or run.spec.requester is None or len(request.configs) != 1 or not may_inject:
            return frozenset()
        (judged,) = request.configs
        pods = (*snapshot.matching, *snapshot.pods.values())
        return questions(judged, run.metadata.namespace, pods, request.settings)

    def run(self, namespace: str, name: str, now: datetime, access: Answers | None = None) -> Snapshot | None:
        """Returns the snapshot of a run; None when there is no such run."""
        run = self._caches.runs.get(namespace, name)
        if run is None:
            return None
        request = Request(
            run=run,
            configs=tuple(self.judge(config) for config in self.holders(run.spec.tool.name)),
            tool_names=tuple(self._names),
            settings=self._settings,
            namespace_labels=self._labels(namespace),
            access=access or {},
            active=None if run.status.is_frozen else self.active(run),
            fence_missing=self._fence_missing(),
            now=now,
        )
        if run.status.is_finished:
            return Snapshot(now=now, request=request)
        matching = () if run.status.is_frozen else self._matching(run)
        pods = {} if not run.status.is_frozen else self._frozen_pods(run)
        concerned = {pod.metadata.uid: pod for pod in (*matching, *pods.values())}
        return Snapshot(
            now=now,
            request=request,
            matching=matching,
            pods=pods,
            rivals=tuple(self._rivals(run, concerned)),
            refusals=self._memory.refusals.get(run.metadata.uid, {}),
            last_written=self._memory.written.get(run.metadata.uid),
        )

    def active(self, run: PowerTool) -> int:
        """Returns how many other runs of its namespace hold pods, or are being frozen at this moment."""
        here = {other.metadata.uid for other in self._caches.runs.by_index(ACTIVE, run.metadata.namespace)}
        here |= {uid for uid, rival in self._memory.reserved.items() if rival.namespace == run.metadata.namespace}
        return len(here - {run.metadata.uid})

    def config(self, namespace: str, name: str, now: datetime) -> ConfigSnapshot | None:
        """Returns the snapshot of a config; None when there is no such config."""
        config = self._caches.configs.get(namespace, name)
        if config is None:
            return None
        holders = self.holders(config.spec.name) if namespace == self._settings.system_namespace else [config]
        return ConfigSnapshot(
            now=now,
            config=config,
            readiness=self.judge(config).readiness,
            holders=tuple(holder.metadata.name for holder in holders),
        )

    def holders(self, tool: str) -> list[PowerToolConfig]:
        """Returns the configs of the system namespace that hold a tool name; all others are ignored."""
        return [
            config
            for config in self._caches.configs.by_index(TOOL, tool)
            if config.metadata.namespace == self._settings.system_namespace
        ]

    def judge(self, config: PowerToolConfig) -> JudgedConfig:
        """Returns a config with its readiness, computed once for each of its versions."""
        uid, version = config.metadata.uid, config.metadata.resource_version
        known = self._judged.get(uid)
        if known is None or known[0] != version:
            known = self._judged[uid] = (version, judge_config(config, self._settings))
        return JudgedConfig(config=config, readiness=known[1])

    def config_changed(self, old: PowerToolConfig | None, new: PowerToolConfig | None) -> None:
        """Keeps the list of tool names and drops what was computed for a config that is gone."""
        system = self._settings.system_namespace
        if old is not None and old.metadata.namespace == system:
            self._names[old.spec.name] -= 1
            self._names += Counter()  # drops names that nobody holds
        if new is not None and new.metadata.namespace == system:
            self._names[new.spec.name] += 1
        if old is not None and new is None:
            self._judged.pop(old.metadata.uid, None)

    def _labels(self, namespace: str) -> dict[str, str] | None:
        found = self._caches.namespaces.get("", namespace)
        return None if found is None else dict(found.metadata.labels or {})

    def _matching(self, run: PowerTool) -> tuple[Pod, ...]:
        selector = run.spec.targets.label_selector
        if not selector.is_positive:
            return ()
        pods = self._caches.pods.select(run.metadata.namespace, selector)
        return tuple(sorted((pod for pod in pods if is_eligible(pod)), key=lambda pod: pod.metadata.name))

    def _frozen_pods(self, run: PowerTool) -> dict[str, Pod]:
        found = {}
        for target in run.status.targets:
            pod = self._caches.pods.get(run.metadata.namespace, target.pod)
            if pod is not None and pod.metadata.uid == target.pod_uid:
                found[target.pod_uid] = pod
        return found

    def _rivals(self, run: PowerTool, pods: dict[str, Pod]) -> Iterator[Rival]:
        own = run.metadata.uid
        seen = {own}
        for uid in pods:
            for other in self._caches.runs.by_index(HELD_POD, uid):
                if other.metadata.uid not in seen:
                    seen.add(other.metadata.uid)
                    yield self._rival(other, frozenset(held_pods(other)), holds=True)
        for uid, rival in self._memory.reserved.items():
            if uid not in seen and rival.pods & pods.keys():
                seen.add(uid)
                yield rival
        if run.status.is_frozen:
            return
        for other in self._caches.runs.by_index(CONFLICTED, run.metadata.namespace):
            if other.metadata.uid in seen:
                continue
            selector = other.spec.targets.label_selector
            wanted = frozenset(uid for uid, pod in pods.items() if selector.matches(pod.metadata.labels))
            if wanted:
                yield self._rival(other, wanted, holds=False)

    def _rival(self, run: PowerTool, pods: frozenset[str], *, holds: bool) -> Rival:
        return rival_of(run, self.holders(run.spec.tool.name), pods, holds=holds)
