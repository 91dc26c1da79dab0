"""Make the cluster match: one pass for one key. Observe, plan, apply; then look again when the plan says so.

Nothing polls: a pass happens because something changed, because a write failed, or because a plan named a moment.
"""

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Literal, NamedTuple

import msgspec
import structlog

from toe.api.pod import Pod
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.settings import Settings
from toe.api.ticket import Ticket
from toe.controller.access import ask
from toe.controller.apply import Applier, is_ordinary
from toe.controller.counts import Counts
from toe.controller.fence import FenceWatch
from toe.controller.observe import (
    BUSY,
    CONFIG_INDEXES,
    CONFLICTED,
    HELD_POD,
    RUN_INDEXES,
    TOOL,
    WAITING,
    Caches,
    Memory,
    Observer,
    claims,
    index_active,
    index_busy,
    index_conflicted,
)
from toe.controller.pace import Pace
from toe.errors import ClusterError, UnavailableError
from toe.kube.cache import Cache
from toe.kube.client import Client
from toe.kube.events import EventRecorder
from toe.kube.metrics import Metrics
from toe.kube.queue import WorkQueue
from toe.kube.resource import NAMESPACES, PODS, POWERTOOLCONFIGS, POWERTOOLS, Namespace
from toe.plan.actions import AddEphemeralContainer, Plan, WriteStatus
from toe.plan.configs import plan_config
from toe.plan.planner import plan
from toe.plan.progress import QUIET
from toe.plan.snapshot import Snapshot, rival_of
from toe.plan.targets import live_tools
from toe.policy.access import NO_ANSWERS, Answers
from toe.policy.identity import is_eligible

WORKERS = 32
STALE_SECONDS = 1.0
"""How long a pass waits before it asks again whether the caches follow the server."""

_log = structlog.get_logger(__name__)


class Key(NamedTuple):
    """Names one thing to reconcile."""

    kind: Literal["run", "config"]
    namespace: str
    name: str


class Controller:
    """Reconciles PowerTools and PowerToolConfigs of one cluster."""

    def __init__(
        self,
        client: Client,
        settings: Settings,
        clock: Callable[[], datetime],
        *,
        fenced_pod: str | None = None,
        sign: Callable[[Ticket], str] | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        """Nothing is started here. ``fenced_pod`` is our own pod's name where the API server's fence is expected.

        ``sign`` makes tickets; it is wanted where the settings have a collector.
        """
        self._client = client
        self._settings = settings
        self._clock = clock
        self._queue: WorkQueue[Key] = WorkQueue(lane=lambda key: key.namespace, asleep=True)
        self._pace = Pace(settings.max_injections_per_minute)
        self._memory = Memory()
        self._writing: dict[str, object] = {}
        self._workers: list[asyncio.Task[None]] = []
        self._stands_by = True
        self.events = EventRecorder(client)
        self.caches = Caches(
            runs=Cache(client, POWERTOOLS, on_change=self._run_changed, indexes=RUN_INDEXES),
            configs=Cache(client, POWERTOOLCONFIGS, on_change=self._config_changed, indexes=CONFIG_INDEXES),
            pods=Cache(client, PODS, on_change=self._pod_changed),
            namespaces=Cache(client, NAMESPACES, on_change=self._namespace_changed),
        )
        self._fence = FenceWatch(client, settings, fenced_pod, self._fence_changed) if fenced_pod else None
        self._observer = Observer(self.caches, settings, self._memory, self._fence_missing)
        metrics = metrics or Metrics()
        self._counts = Counts(metrics, lambda name: bool(self.caches.configs.by_index(TOOL, name)))
        self._applier = Applier(client, self.caches, self._memory, self.events, clock, sign, counts=self._counts)
        self._show_in(metrics)

    def _show_in(self, metrics: Metrics) -> None:
        metrics.gauges(
            toe_watches_are_live=("whether this process follows the cluster", lambda: self.caches.live),
            toe_queue_depth=("runs and configs that wait for a pass", lambda: self._queue.depth),
            toe_queue_oldest_seconds=("seconds that the oldest of them has waited", lambda: self._queue.oldest_age),
            toe_runs_active=("runs that have not ended, as last seen", self._active),
            toe_fence_in_force=(
                "whether the API server's fence stands, as the leader last saw it",
                lambda: self._fence is not None and not self._fence.missing,
            ),
        )

    def _active(self) -> int:
        return sum(not run.status.is_finished for run in self.caches.runs.list())

    async def run(
        self,
        *,
        workers: int = WORKERS,
        ready: Callable[[], None] = lambda: None,
        leads: asyncio.Event | None = None,
    ) -> None:
        """Reconciles until it is cancelled: follows the caches, and starts the workers when all are synced.

        Until ``leads`` is set it stands by: it follows, and writes and asks nothing. Then everything is read once more:
        what the last leader wrote last is known before anything is decided.
        """
        async with asyncio.TaskGroup() as group:
            for cache in self.caches.all:
                group.create_task(cache.run(), name=f"cache {cache}")
            group.create_task(self.events.run(), name="events")
            if self._fence is not None:
                for policies in self._fence.caches:
                    group.create_task(policies.run(), name="fence cache")
            for cache in self.caches.all:
                await cache.synced()
            ready()
            if leads is not None:
                await leads.wait()
                async with asyncio.TaskGroup() as reading:
                    for cache in self.caches.all:
                        reading.create_task(cache.refresh())
            self._begin()
            if self._fence is not None:
                group.create_task(self._fence.run(), name="fence")
            for number in range(workers):
                self._workers.append(group.create_task(self._work(), name=f"worker {number}"))

    def _begin(self) -> None:
        self._stands_by = False
        self._queue.awaken(self._everything())

    def _everything(self) -> Iterator[Key]:
        yield from (Key("config", *config.metadata.key) for config in self.caches.configs.list())
        yield from (Key("run", *run.metadata.key) for run in self.caches.runs.list() if not run.status.is_finished)

    async def drain(self, seconds: float = 5.0) -> bool:
        """Takes no more keys, ends what is under way, and gives events their last chance.

        Returns whether every pass ended in time: nothing of ours is on its way to the API server any more.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        self._queue.close()
        under_way = (await asyncio.wait(self._workers, timeout=seconds))[1] if self._workers else set()
        await self.events.flush(timeout=max(0.0, ends - loop.time()))
        return not under_way

    async def _work(self) -> None:
        while (key := await self._queue.get()) is not None:
            try:
                await self._reconcile(key)
            except ClusterError as error:
                delay = self._queue.retry(key)
                self._counts.passed(key.kind, "again")
                if not is_ordinary(error):
                    _log.warning("pass failed", key=str(key), error=error.message, status=error.status, retry=delay)
            except Exception:
                self._counts.passed(key.kind, "failed")
                _log.exception("pass failed unexpectedly", key=str(key), retry=self._queue.retry(key))
            else:
                self._counts.passed(key.kind, "done")
                self._queue.forget(key)
            finally:
                self._queue.done(key)

    async def _reconcile(self, key: Key) -> None:
        if not self.caches.live:
            self._queue.add_after(key, STALE_SECONDS)
            return
        match key.kind:
            case "run":
                await self._reconcile_run(key)
            case "config":
                await self._reconcile_config(key)

    async def _reconcile_run(self, key: Key) -> None:
        now = self._clock()
        snapshot = self._observer.run(key.namespace, key.name, now)
        if snapshot is None:
            return
        requester, questions = snapshot.request.run.spec.requester, self._observer.questions(snapshot)
        access: Answers = NO_ANSWERS
        if requester is not None and questions:
            access = await ask(self._client, requester, questions)
            self._counts.asked(access.values())
            snapshot = self._observer.run(key.namespace, key.name, now, access)  # the world went on meanwhile
            if snapshot is None:
                return
        decided = self._paced(key, plan(snapshot))
        uid = snapshot.request.run.metadata.uid
        self._reserve(snapshot, decided)
        self._writing[uid] = next((a.status for a in decided.actions if isinstance(a, WriteStatus)), None)
        try:
            await self._applier.apply(decided.actions, snapshot.request.run)
        finally:
            self._writing.pop(uid, None)
            if self._memory.reserved.pop(uid, None) is not None:
                self._wake_if_unfrozen(key)
        if uid in self._memory.refusals:
            self._queue.add(key)
        if any(isinstance(action, AddEphemeralContainer) for action in decided.actions):
            # The kubelet's word comes first as a rule; where it says nothing, people and deadlines still want to know.
            self._queue.add_after(key, QUIET.total_seconds())
        if decided.look_again is not None:
            self._queue.add_after(key, max((decided.look_again - now).total_seconds(), 0.01))
        if None in access.values():
            raise UnavailableError("a question about the requester's rights was not answered")

    def _paced(self, key: Key, decided: Plan) -> Plan:
        """Leaves the containers that would be too many in this minute to a later pass, which finds them missing."""
        additions = [action for action in decided.actions if isinstance(action, AddEphemeralContainer)]
        permitted = self._pace.take(len(additions))
        if permitted == len(additions):
            return decided
        self._queue.add_after(key, self._pace.wait())
        late = {id(action) for action in additions[permitted:]}
        kept = tuple(action for action in decided.actions if id(action) not in late)
        return msgspec.structs.replace(decided, actions=kept)

    def _reserve(self, snapshot: Snapshot, decided: Plan) -> None:
        """Holds the pods of a run while its freezing is being written: other passes run meanwhile."""
        run = snapshot.request.run
        frozen = next((a.status for a in decided.actions if isinstance(a, WriteStatus) and a.status.is_frozen), None)
        if frozen is None or run.status.is_frozen:
            return
        pods = frozenset(target.pod_uid for target in frozen.targets if target.state == "Prepared")
        configs = [judged.config for judged in snapshot.request.configs]
        self._memory.reserved[run.metadata.uid] = rival_of(run, configs, pods, holds=True)

    async def _reconcile_config(self, key: Key) -> None:
        snapshot = self._observer.config(key.namespace, key.name, self._clock())
        if snapshot is not None:
            await self._applier.apply(plan_config(snapshot).actions)

    # What a change wakes

    def _run_changed(self, old: PowerTool | None, new: PowerTool | None) -> None:
        run = new or old
        assert run is not None
        if old is not None and claims(old) - (claims(new) if new is not None else frozenset()):
            self._wake(CONFLICTED, run.metadata.namespace)
        if old is not None and _left(old, new):
            self._wake_next(run.metadata.namespace)
        if new is None or new.status.is_finished:
            self._memory.forget(run.metadata.uid)
            return
        is_echo = old is not None and self._writing.get(new.metadata.uid) == new.status
        if is_echo and not index_conflicted(new):
            return  # of a write that is under way
        # A run that has just been marked as waiting looks once more: whom it waits for may have ended while that was
        # being written, and woke only those that were marked by then.
        self._queue.add(Key("run", *new.metadata.key))

    def _config_changed(self, old: PowerToolConfig | None, new: PowerToolConfig | None) -> None:
        self._observer.config_changed(old, new)
        if old is not None and new is not None and old.spec == new.spec and _face(old) == _face(new):
            return  # only its status changed
        for name in {config.spec.name for config in (old, new) if config is not None}:
            for config in self.caches.configs.by_index(TOOL, name):
                self._queue.add(Key("config", *config.metadata.key))
            self._wake(TOOL, name)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        pod = new or old
        assert pod is not None
        if self._stands_by and new is not None:
            # What the leader adds counts in our minute, should we lead next; also what was there when we came and runs.
            self._pace.note(len(live_tools(new) - (live_tools(old) if old is not None else frozenset())))
        if old is None or new is None or _fate(old) != _fate(new):
            self._wake(HELD_POD, pod.metadata.uid)
        if old is not None and (new is None or live_tools(old) != live_tools(new)):
            self._wake(CONFLICTED, pod.metadata.namespace)
        before = old if old is not None and is_eligible(old) else None
        after = new if new is not None and is_eligible(new) else None
        if _labels(before) == _labels(after):
            return
        for run in self.caches.runs.by_index(WAITING, pod.metadata.namespace):
            selector = run.spec.targets.label_selector
            if any(selector.matches(one.metadata.labels) for one in (before, after) if one is not None):
                self._queue.add(Key("run", *run.metadata.key))

    def _namespace_changed(self, old: Namespace | None, new: Namespace | None) -> None:
        if new is not None and (old is None or old.metadata.labels != new.metadata.labels):
            self._wake(WAITING, new.metadata.name)

    def _wake_if_unfrozen(self, key: Key) -> None:
        """Lets those look again who found pods reserved for a run that could not be frozen after all."""
        run = self.caches.runs.get(key.namespace, key.name)
        if run is None or not run.status.is_frozen:
            self._wake(CONFLICTED, key.namespace)
            self._wake_next(key.namespace)

    def _wake_next(self, namespace: str) -> None:
        """Lets the run look that waits longest for a place of its namespace; whether it starts or not, it wakes the
        next when it no longer waits."""
        waiting = self.caches.runs.by_index(BUSY, namespace)
        first = min(waiting, key=lambda run: (run.metadata.creation_timestamp, run.metadata.uid), default=None)
        if first is not None:
            self._queue.add(Key("run", *first.metadata.key))

    def _fence_missing(self) -> str:
        return self._fence.missing if self._fence is not None else ""

    def _fence_changed(self) -> None:
        for run in self.caches.runs.list():
            if not run.status.is_finished:
                self._queue.add(Key("run", *run.metadata.key))

    def _wake(self, index: str, key: str) -> None:
        for run in self.caches.runs.by_index(index, key):
            self._queue.add(Key("run", *run.metadata.key))


def _left(old: PowerTool, new: PowerTool | None) -> bool:
    """Tells whether a run gave up its place in the namespace, or no longer waits for one."""
    return any(index(old) and not (new is not None and index(new)) for index in (index_active, index_busy))


def _labels(pod: Pod | None) -> object:
    """Is what selectors see of a pod that may be entered; None for no such pod."""
    return None if pod is None else (pod.metadata.uid, pod.metadata.labels)


def _fate(pod: Pod) -> tuple[object, ...]:
    """Is what of a pod can change a target: what the kubelet reports, and whether the pod is going.

    That a container was added to the spec is not news: we did it, and the kubelet's report follows.
    """
    status = pod.status
    return (
        status.ephemeral_container_statuses,
        status.container_statuses,
        status.init_container_statuses,
        status.phase,
        pod.metadata.deletion_timestamp,
    )


def _face(config: PowerToolConfig) -> tuple[object, ...]:
    return (config.metadata.generation, config.metadata.annotations)
