"""The controller as a process, on a real API server, with a toy kubelet: order, rest, rivals."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from itertools import pairwise

import pytest

from devcluster import Cluster
from tests.cluster.program import Audit, Program, running
from tests.cluster.rest import Object, is_finished, phase, pods, reason, runs
from tests.cluster.stage import Stage, staged
from tests.cluster.toykubelet import ToyKubelet

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]


@pytest.fixture
async def scene(control_plane: Cluster) -> AsyncIterator[tuple[Stage, ToyKubelet]]:
    """A namespace of its own, with a tool, and a kubelet that plays the pods in it."""
    async with staged(control_plane) as found:
        yield found


async def test_a_short_run_costs_three_status_writes_and_one_injection(
    control_plane: Cluster, scene: tuple[Stage, ToyKubelet]
) -> None:
    """Frozen, running, finished, and nothing is written twice or in vain."""
    stage, _ = scene
    await stage.pod("a")
    audit = Audit(control_plane.audit_log)
    async with running(stage.kubeconfig):
        await stage.run("short", "a")
        run = await stage.finished("short")
    assert phase(run) == "Completed"
    # On a machine that takes 2 s over it, progress is told in between.
    assert audit.status_writes(stage.name, "short") == 3 or seconds_of(run) >= 2
    assert [w for w in audit.writes() if "/pods/" in w] == [f"patch {pods(stage.name, 'a', 'ephemeralcontainers')} 200"]


def seconds_of(run: Object) -> float:
    """Is how long a finished run took."""
    start, end = (datetime.fromisoformat(run["status"][key]) for key in ("startedAt", "finishedAt"))
    return (end - start).total_seconds()


async def test_a_controller_at_rest_only_watches(control_plane: Cluster, scene: tuple[Stage, ToyKubelet]) -> None:
    """For 15 s with finished, running and waiting runs: not one request but watches."""
    stage, kubelet = scene
    for name in "abc":
        await stage.pod(name)
    held = asyncio.Event()

    async def life(pod: Object, container: Object) -> int:
        if pod["metadata"]["name"] == "b":
            await held.wait()
        return 0

    kubelet.life = life
    async with running(stage.kubeconfig):
        await stage.run("finished", "a")
        await stage.run("running", "b")
        await stage.rest.until(runs(stage.name, "running"), lambda r: phase(r) == "Running")
        await stage.run("conflicted", "b")
        await stage.run("pending", "nobody")
        await stage.finished("finished")
        await stage.rest.until(runs(stage.name, "conflicted"), lambda r: phase(r) == "Conflicted")
        await stage.rest.until(runs(stage.name, "pending"), lambda r: phase(r) == "Pending")
        await asyncio.sleep(3)  # the last events, and the progress that may wait for 2 s
        audit = Audit(control_plane.audit_log)
        await asyncio.sleep(15)  # not a wait for something: the promise is that nothing happens
        assert audit.verbs() <= {"watch"}
        held.set()
        await asyncio.gather(stage.finished("running"), stage.finished("conflicted"))


async def test_a_restart_writes_nothing_that_is_written(
    control_plane: Cluster, scene: tuple[Stage, ToyKubelet]
) -> None:
    """A new controller finds finished, running and waiting runs as it would have left them, and leaves them so."""
    stage, kubelet = scene
    for name in "abc":
        await stage.pod(name)
    held = asyncio.Event()

    async def life(pod: Object, container: Object) -> int:
        if pod["metadata"]["name"] == "b":
            await held.wait()
        return 0

    kubelet.life = life
    async with running(stage.kubeconfig):
        await stage.run("finished", "a")
        await stage.run("running", "b")
        await stage.rest.until(runs(stage.name, "running"), lambda r: phase(r) == "Running")
        await stage.run("conflicted", "b")
        await stage.run("pending", "nobody")
        await stage.finished("finished")
        await stage.rest.until(runs(stage.name, "conflicted"), lambda r: phase(r) == "Conflicted")
        await stage.rest.until(runs(stage.name, "pending"), lambda r: phase(r) == "Pending")
    for _ in range(2):
        audit = Audit(control_plane.audit_log)
        async with running(stage.kubeconfig):
            # A run that is made now is judged after all that were there before.
            await stage.run(f"probe-{_}", "c")
            await stage.finished(f"probe-{_}")
        assert [write for write in audit.writes() if "/probe-" not in write and "/pods/c/" not in write] == []
    async with running(stage.kubeconfig):
        held.set()
        await asyncio.gather(stage.finished("running"), stage.finished("conflicted"))


async def test_those_who_wait_start_oldest_first(scene: tuple[Stage, ToyKubelet]) -> None:
    """One pod, one run in it and five that wait: they start by themselves in the order in which they were made."""
    stage, kubelet = scene
    await stage.pod("a")
    held = asyncio.Event()

    async def life(pod: Object, container: Object) -> int:
        await held.wait()
        return 0

    kubelet.life = life
    async with running(stage.kubeconfig):
        await stage.run("holder", "a")
        await stage.rest.until(runs(stage.name, "holder"), lambda r: phase(r) == "Running")
        made = [await stage.run(name, "a") for name in ("e", "a", "d", "b", "c")]
        for run in made:
            waiting = await stage.rest.until(
                runs(stage.name, run["metadata"]["name"]), lambda r: phase(r) == "Conflicted"
            )
            assert "Pod a is already being profiled by PowerTool holder" in reason(waiting, "Conflicted")[1]
        held.set()
        done = await asyncio.gather(*(stage.finished(run["metadata"]["name"]) for run in made))
    expected = sorted(made, key=lambda run: (run["metadata"]["creationTimestamp"], run["metadata"]["uid"]))
    containers = {run["metadata"]["uid"]: run["status"]["targets"][0]["toolContainer"] for run in done}
    order = [name for _, _, name in kubelet.order if name in containers.values()]
    assert order == [containers[run["metadata"]["uid"]] for run in expected]
    assert kubelet.most[stage.name, "a"] == 1


@pytest.mark.parametrize("controllers", [1, 2])
async def test_rivals_never_share_a_pod(scene: tuple[Stage, ToyKubelet], controllers: int) -> None:
    """30 runs over 10 pods, each on 1 to 3 of them, also with a second controller that was started by mistake.

    Never more than one live tool in a pod (maxConcurrentPerPod is 1), one container for each (run, pod), and every run
    is terminal.
    """
    stage, kubelet = scene
    chance = random.Random(controllers)
    wanted = {f"run-{number}": chance.sample(range(10), chance.randint(1, 3)) for number in range(30)}
    await asyncio.gather(
        *(
            stage.pod(f"pod-{number}", *(run for run, places in wanted.items() if number in places))
            for number in range(10)
        )
    )
    programs = [await Program.start(stage.kubeconfig) for _ in range(controllers)]
    try:
        await asyncio.gather(*(stage.run(run, run) for run in wanted))
        done = await asyncio.gather(*(stage.finished(run, seconds=120) for run in wanted))
    finally:
        await asyncio.gather(*(program.stop() for program in programs))
    assert {phase(run) for run in done} == {"Completed"}
    assert {run["metadata"]["name"]: len(run["status"]["targets"]) for run in done} == {
        run: len(places) for run, places in wanted.items()
    }
    await stage.expect_one_tool_for_each_target()
    assert {kubelet.most[stage.name, f"pod-{number}"] for number in range(10)} == {1}
    assert [line for program in programs for line in program.complaints()] == []


async def test_as_many_tools_share_a_pod_as_both_accept(scene: tuple[Stage, ToyKubelet]) -> None:
    """maxConcurrentPerPod 2: of six runs on one pod two are in it at a time, and never three."""
    stage, kubelet = scene
    await stage.tool(limits={"maxConcurrentPerPod": 2})
    await stage.pod("a")
    async with running(stage.kubeconfig):
        names = [f"run-{number}" for number in range(6)]
        await asyncio.gather(*(stage.run(name, "a") for name in names))
        done = await asyncio.gather(*(stage.finished(name) for name in names))
    assert {phase(run) for run in done} == {"Completed"}
    assert kubelet.most[stage.name, "a"] == 2
    await stage.expect_one_tool_for_each_target()


async def test_a_status_never_goes_back(scene: tuple[Stage, ToyKubelet]) -> None:
    """Watched from its first version to its last: counts only grow, states only advance, terminal is the end."""
    stage, _ = scene
    await stage.pod("a")
    await stage.pod("b")
    version = (await stage.rest.get(runs(stage.name)))["metadata"]["resourceVersion"]
    seen: list[Object] = []
    async with running(stage.kubeconfig), aclosing(stage.rest.watch(runs(stage.name), version)) as events:
        await stage.run("watched", "all")
        async for _, run in events:
            seen.append(run)
            if is_finished(run):
                break
    rank = ["Prepared", "Injected", "Running", "Succeeded"]
    for before, after in pairwise(seen):
        old, new = before.get("status", {}), after.get("status", {})
        assert new.get("completedPods", 0) >= old.get("completedPods", 0)
        for one, other in zip(old.get("targets", ()), new.get("targets", ()), strict=False):
            assert (one["podUID"], one["toolContainer"]) == (other["podUID"], other["toolContainer"])
            assert rank.index(one.get("state", "Prepared")) <= rank.index(other.get("state", "Prepared"))
        assert old.get("startedAt", "") in ("", new.get("startedAt"))


async def test_a_run_waits_until_its_start_deadline_and_not_longer(scene: tuple[Stage, ToyKubelet]) -> None:
    """What it waited for is in the message; the pod that comes too late gets no tool."""
    stage, _ = scene
    async with running(stage.kubeconfig, "--start-deadline", "3s"):
        await stage.run("hopeless", "late")
        run = await stage.finished("hopeless", seconds=20)
        await stage.pod("late")
        await stage.run("probe", "late")
        await stage.finished("probe")
    assert phase(run) == "Failed"
    why, told = reason(run, "Failed")
    assert why == "StartDeadlineExceeded"
    assert told == f"waited 3s in vain: no running pod in {stage.name} matches late=yes"
    assert len((await stage.tool_containers())["late"]) == 1


async def test_a_tool_that_the_kubelet_never_starts_is_given_up(scene: tuple[Stage, ToyKubelet]) -> None:
    """Without a word from the kubelet, after the start allowance: Failed with ToolNotStarted."""
    stage, kubelet = scene
    await stage.pod("a")
    kubelet.stopped = True
    async with running(stage.kubeconfig, "--start-allowance", "3s"):
        await stage.run("lost", "a", duration="1s")
        run = await stage.finished("lost", seconds=30)
    (target,) = run["status"]["targets"]
    assert (phase(run), target["reason"]) == ("Failed", "ToolNotStarted")
    assert target["message"] == "the tool did not start: the kubelet has not started it"
