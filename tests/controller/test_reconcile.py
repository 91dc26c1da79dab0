"""What wakes whom: a run that waits for pods looks again whenever one of those before it lets go of something."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import msgspec
import pytest

from tests.builders import NOW, SETTINGS, Raw, a_config, a_pod, a_powertool, merged
from toe.api.pod import Pod
from toe.api.powertool import PowerTool
from toe.api.reasons import Reason
from toe.controller.pace import Pace
from toe.controller.reconcile import Controller, Key
from toe.errors import ClusterError, UnavailableError
from toe.kube.cache import Cache
from toe.kube.client import Client
from toe.kube.resource import Resource
from toe.plan.conditions import is_true

Hook = Callable[[], None]


class Memorial:
    """Stands for the API server: keeps what is written, and lets a test act between a write and its answer."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Raw] = {}
        self.versions = itertools.count(100)
        self.meanwhile: Hook = lambda: None

    def store(self, kind: str, obj: msgspec.Struct) -> Any:
        raw = merged(msgspec.to_builtins(obj), {"metadata": {"resourceVersion": str(next(self.versions))}})
        self.objects[kind, raw["metadata"]["name"]] = raw
        return msgspec.convert(raw, type(obj))

    async def patch(self, resource: Resource[Any], namespace: str, name: str, body: Mapping[str, Any], **_: Any) -> Any:
        raw = merged(self.objects[resource.plural, name], msgspec.to_builtins(body))
        raw["metadata"]["resourceVersion"] = str(next(self.versions))
        self.objects[resource.plural, name] = raw
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return msgspec.convert(raw, resource.type)


class Scene:
    """Is a controller without workers whose caches hold one config and what a test adds."""

    def __init__(self, *, stands_by: bool = False, **settings: int) -> None:
        self.server = Memorial()
        own = msgspec.structs.replace(SETTINGS, **settings)
        self.controller = Controller(cast(Client, self.server), own, lambda: NOW)
        if not stands_by:
            self.controller._begin()
        self.controller.caches.configs.observe(self.server.store("powertoolconfigs", a_config()))

    def pod(self, name: str, *labels: str) -> None:
        pod = a_pod(name, metadata={"labels": dict.fromkeys(labels, "yes")})
        self.controller.caches.pods.observe(self.server.store("pods", pod))

    def run(self, name: str, *labels: str, second: int = 0) -> None:
        run = a_powertool(
            metadata={"name": name, "uid": f"run-{name}", "creationTimestamp": f"2026-03-01T12:00:0{second}Z"},
            targets={"labelSelector": {"matchLabels": None, "matchExpressions": [exists(label) for label in labels]}},
        )
        self.controller.caches.runs.observe(self.server.store("powertools", run))

    def relabeled(self, name: str, **labels: str | None) -> None:
        """Lets the watch tell that a pod's labels were changed."""
        pod = merged(self.server.objects["pods", name], {"metadata": {"labels": labels}})
        self.controller.caches.pods.observe(self.server.store("pods", msgspec.convert(pod, Pod)))

    def ends(self, name: str) -> None:
        """Lets the watch tell that all tools in a pod ended."""
        pod = self.server.objects["pods", name]
        end = {"terminated": {"exitCode": 0, "finishedAt": "2026-03-01T12:00:00Z"}}
        told = [{"name": c["name"], "state": end} for c in pod["spec"]["ephemeralContainers"]]
        changed = merged(pod, {"status": {"ephemeralContainerStatuses": told}})
        self.controller.caches.pods.observe(self.server.store("pods", msgspec.convert(changed, Pod)))

    def known(self, name: str) -> PowerTool:
        run = self.controller.caches.runs.get("production", name)
        assert run is not None
        return run

    def changed(self, name: str, status: Raw) -> None:
        """Lets the watch tell of a new status."""
        run = msgspec.convert(merged(msgspec.to_builtins(self.known(name)), {"status": status}), PowerTool)
        self.controller.caches.runs.observe(self.server.store("powertools", run))

    def gone(self, name: str) -> None:
        """Lets the watch tell that a run was deleted."""
        self.controller.caches.runs._mirror.apply("DELETED", self.server.store("powertools", self.known(name)))

    def ready(self) -> list[str]:
        """Takes the names of what is ready off the queue."""
        names = []
        while (key := self.controller._queue.get_nowait()) is not None:
            names.append(key.name)
            self.controller._queue.done(key)
        return names

    async def passes(self) -> list[str]:
        """Works on everything that is ready, and returns the names of the runs in that order."""
        worked: list[str] = []
        while (key := self.controller._queue.get_nowait()) is not None:
            if key.kind == "run":
                worked.append(key.name)
                await self.controller._reconcile_run(key)
            self.controller._queue.done(key)
            assert len(worked) < 50
        return worked


def exists(label: str) -> Raw:
    return {"key": label, "operator": "Exists"}


def is_waiting(run: PowerTool) -> bool:
    return is_true(run.status.conditions, "Conflicted")


FINISHED: Raw = {
    "phase": "Completed",
    "conditions": [
        {"type": "Finished", "status": "True", "reason": "Completed", "message": "", "lastTransitionTime": "x"}
    ],
}


@pytest.fixture
async def scene() -> Scene:
    """A run ``holder`` in the pod a."""
    scene = Scene()
    scene.pod("a", "a")
    scene.pod("b", "b")
    scene.run("holder", "a")
    await scene.passes()
    assert scene.known("holder").status.is_frozen
    return scene


async def test_a_pod_that_is_freed_while_its_taking_is_being_written_down(scene: Scene) -> None:
    """Whom a run waits for may end while "Conflicted" is on its way to the server: the run starts all the same."""
    scene.run("late", "a", second=1)

    def meanwhile() -> None:
        scene.ends("a")
        scene.changed("holder", FINISHED)

    scene.server.meanwhile = meanwhile
    await scene.passes()
    assert scene.known("late").status.is_frozen
    assert not is_waiting(scene.known("late"))


async def test_an_older_run_that_gives_up_waiting_frees_the_way(scene: Scene) -> None:
    """A pod that is free, but belongs first to an older run that waits for another pod: its deletion wakes the next."""
    scene.pod("c", "a", "b")  # the older one wants a and c, the younger c alone
    scene.run("older", "a", second=1)
    await scene.passes()
    scene.run("younger", "b", "a", second=2)
    await scene.passes()
    assert (is_waiting(scene.known("older")), is_waiting(scene.known("younger"))) == (True, True)
    scene.gone("older")
    await scene.passes()
    assert scene.known("younger").status.is_frozen


async def test_each_pod_that_is_let_go_of_wakes_who_waits(scene: Scene) -> None:
    """A run that is over in one of its pods and goes on in another frees the first."""
    scene.pod("c", "c")
    scene.pod("d", "c", "d")
    scene.run("wide", "c", second=1)
    await scene.passes()
    scene.run("narrow", "d", second=2)
    await scene.passes()
    assert is_waiting(scene.known("narrow"))
    scene.ends("d")
    targets = msgspec.to_builtins(scene.known("wide").status.targets)
    await scene.passes()
    scene.changed("wide", {"targets": [t | {"state": "Failed"} if t["pod"] == "d" else t for t in targets]})
    await scene.passes()
    assert scene.known("narrow").status.is_frozen


async def test_a_reservation_that_comes_to_nothing_wakes_who_found_the_pod_taken(scene: Scene) -> None:
    """A run cannot be frozen since somebody wrote to it first: who waited for its reservation looks again."""
    scene.run("first", "b", second=1)
    scene.run("second", "b", second=2)
    patch: Callable[..., Awaitable[Any]] = scene.server.patch

    async def refuse(resource: Resource[Any], namespace: str, name: str, body: Mapping[str, Any], **more: Any) -> Any:
        scene.server.patch = patch  # type: ignore[method-assign]
        await scene.controller._reconcile_run(Key("run", "production", "second"))
        scene.ready()
        raise RuntimeError("somebody wrote first")

    scene.server.patch = refuse  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="somebody wrote first"):
        await scene.controller._reconcile_run(Key("run", "production", "first"))
    assert is_waiting(scene.known("second"))
    assert scene.ready() == ["second"]


async def test_a_taken_pod_that_loses_its_label_is_waited_for_no_longer(scene: Scene) -> None:
    """A run waits for a taken pod beside a free one; without the label the taken one is no target: the run starts."""
    scene.relabeled("b", a="yes")
    scene.run("late", "a", second=1)
    await scene.passes()
    assert is_waiting(scene.known("late"))
    scene.relabeled("a", a=None)
    await scene.passes()
    assert [target.pod for target in scene.known("late").status.targets] == ["b"]


async def test_a_question_about_rights_that_got_no_answer_is_asked_again() -> None:
    """Nothing is injected meanwhile, and the run does not wait for its deadline to be looked at."""
    scene = Scene()
    dangerous = a_config(security={"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}, "runAsRoot": True})
    scene.controller.caches.configs.observe(scene.server.store("powertoolconfigs", dangerous))
    scene.pod("a", "one")
    scene.run("r", "one")
    answers: list[bytes | ClusterError] = [UnavailableError("no answer"), b'{"status": {"allowed": true}}']

    async def raw(*_: Any, **__: Any) -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, ClusterError):
            raise answer
        return answer

    scene.server.raw = raw  # type: ignore[attr-defined]
    key = Key("run", "production", "r")
    with pytest.raises(UnavailableError):
        await scene.controller._reconcile_run(key)
    assert "ephemeralContainers" not in scene.server.objects["pods", "a"]["spec"]
    await scene.controller._reconcile_run(key)
    assert scene.server.objects["pods", "a"]["spec"]["ephemeralContainers"]


def _frozen(scene: Scene, *names: str) -> list[bool]:
    return [scene.known(name).status.is_frozen for name in names]


async def test_a_namespace_has_so_many_places_and_each_is_taken_again() -> None:
    """The rest waits, visibly, and starts oldest first when others have ended; also when two end in one moment."""
    scene = Scene(max_active_runs=2)
    names = ("first", "second", "third", "fourth", "fifth")
    for second, name in enumerate(names):
        scene.pod(name, name)
        scene.run(name, name, second=second)
    await scene.passes()
    assert _frozen(scene, *names) == [True, True, False, False, False]
    (accepted,) = (c for c in scene.known("third").status.conditions if c.type == "Accepted")
    assert (scene.known("third").status.phase, accepted.reason) == ("Pending", Reason.NAMESPACE_BUSY)
    scene.changed("first", FINISHED)
    scene.gone("second")
    await scene.passes()
    assert _frozen(scene, "third", "fourth", "fifth") == [True, True, False]
    scene.gone("third")
    await scene.passes()
    assert _frozen(scene, "fifth") == [True]


async def test_who_waits_for_a_place_and_goes_lets_the_next_look() -> None:
    """A place that was offered to a run that cannot take it is offered to the next."""
    scene = Scene(max_active_runs=1)
    for second, name in enumerate(("holder", "hopeless", "next")):
        scene.pod(name, name)
        scene.run(name, name, second=second)
    await scene.passes()
    scene.changed("hopeless", {"conditions": []})
    scene.changed("holder", FINISHED)
    scene.gone("hopeless")
    await scene.passes()
    assert _frozen(scene, "next") == [True]


async def test_no_two_passes_take_the_last_place() -> None:
    """While the first writes its targets down, another worker looks at the second."""
    scene = Scene(max_active_runs=1)
    for second, name in enumerate(("first", "second")):
        scene.pod(name, name)
        scene.run(name, name, second=second)
    seen: list[int] = []
    scene.server.meanwhile = lambda: seen.append(scene.controller._observer.active(scene.known("second")))
    await scene.controller._reconcile_run(Key("run", "production", "first"))
    assert seen == [1]


async def test_who_takes_over_reads_everything_before_anything_is_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the last leader wrote last may not have come over the watches yet: a pod that is taken is not free."""
    scene, leads = Scene(), asyncio.Event()
    scene.pod("a", "a")
    scene.run("taken", "a")
    await scene.passes()
    written = scene.known("taken")
    late = Scene(stands_by=True)
    late.pod("a", "a")
    asked = []

    async def nothing(cache: Cache[Any]) -> None:
        pass

    async def refresh(cache: Cache[Any]) -> None:
        asked.append(cache)
        if cache is late.controller.caches.runs:
            cache.observe(written)

    for name, stand_in in (("run", nothing), ("synced", nothing), ("refresh", refresh)):
        monkeypatch.setattr(Cache, name, stand_in)
    monkeypatch.setattr(Cache, "live", True)
    work = asyncio.create_task(late.controller.run(workers=1, leads=leads))
    late.run("late", "a")
    await asyncio.sleep(0.05)
    assert not late.known("late").status.conditions
    leads.set()
    async with asyncio.timeout(5):
        while not late.known("late").status.conditions:  # noqa: ASYNC110 what a test waits for has no event
            await asyncio.sleep(0.01)
    assert is_waiting(late.known("late"))
    assert set(asked) == set(late.controller.caches.all)
    assert await late.controller.drain()
    work.cancel()


async def test_an_end_waits_for_the_passes_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """And tells when one does not end: something of it may still be on its way to the API server."""
    scene, go_on, began = Scene(), asyncio.Event(), asyncio.Event()

    async def slow(key: Key) -> None:
        began.set()
        await go_on.wait()

    monkeypatch.setattr(scene.controller, "_reconcile", slow)
    scene.controller._queue.add(Key("run", "production", "slow"))
    scene.controller._workers = [asyncio.create_task(scene.controller._work())]
    await began.wait()
    assert not await scene.controller.drain(0.05)
    draining = asyncio.create_task(scene.controller.drain(5))
    await asyncio.sleep(0.05)
    assert not draining.done()
    go_on.set()
    assert await draining


async def test_who_stands_by_counts_what_the_leader_adds() -> None:
    """In the minute in which it takes over no more are added than one of them may."""
    scene = Scene(stands_by=True, max_injections_per_minute=3)
    for name in ("a", "b"):
        scene.pod(name, name)
        pod = merged(scene.server.objects["pods", name], {"spec": {"ephemeralContainers": [{"name": f"toe-x-{name}"}]}})
        scene.controller.caches.pods.observe(scene.server.store("pods", msgspec.convert(pod, Pod)))
    scene.controller._begin()
    for name in ("c", "d"):
        scene.pod(name, "all")
    scene.run("wide", "all")
    await scene.passes()
    pods = [scene.server.objects["pods", name] for name in ("c", "d")]
    assert sum("ephemeralContainers" in pod["spec"] for pod in pods) == 1


async def test_no_more_containers_than_permitted_are_added_in_a_minute() -> None:
    """The rest is added by a later pass, which finds it missing; nothing is lost, nothing is added twice."""
    scene = Scene(max_injections_per_minute=2)
    for name in ("a", "b", "c"):
        scene.pod(name, "all")
    scene.run("wide", "all")
    await scene.passes()
    pods = [scene.server.objects["pods", name] for name in ("a", "b", "c")]
    assert sum("ephemeralContainers" in pod["spec"] for pod in pods) == 2
    assert len(scene.known("wide").status.targets) == 3
    scene.controller._pace = Pace(2)
    await scene.controller._reconcile_run(Key("run", "production", "wide"))
    pods = [scene.server.objects["pods", name] for name in ("a", "b", "c")]
    assert [len(pod["spec"]["ephemeralContainers"]) for pod in pods] == [1, 1, 1]


async def test_a_flood_in_one_namespace_holds_up_no_other() -> None:
    """5,000 runs in one, one in another: that one is worked on at its lane's first turn."""
    scene = Scene()
    for number in range(5000):
        scene.controller._queue.add(Key("run", "flooded", f"run-{number}"))
    scene.controller._queue.add(Key("run", "quiet", "only"))
    assert "only" in scene.ready()[:3]  # the third lane is that of the configs
