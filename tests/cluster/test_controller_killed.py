"""The controller killed with SIGKILL at every write, before it was sent and after it was stored.

Whatever the moment: each (run, pod) gets exactly one tool container, every run ends in a terminal phase, and nothing is
written afterwards. Source of the method: Sieve, OSDI 2022.
"""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from devcluster import Cluster
from tests.cluster.assassin import Assassin, Moment, Shot
from tests.cluster.program import Audit, Program
from tests.cluster.rest import Object, is_finished, phase, runs
from tests.cluster.stage import Stage, staged
from tests.cluster.toykubelet import ToyKubelet

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


@pytest.fixture
async def scene(control_plane: Cluster) -> AsyncIterator[tuple[Stage, ToyKubelet]]:
    """A namespace of its own, with a tool, and a kubelet that plays the pods in it."""
    async with staged(control_plane) as found:
        yield found


@pytest.fixture
async def assassin(scene: tuple[Stage, ToyKubelet], tmp_path: Path) -> AsyncIterator[Assassin]:
    """What stands between the controllers of the test and the API server."""
    async with Assassin(scene[0].rest, tmp_path) as found:
        yield found


async def workload(stage: Stage, mark: str) -> list[str]:
    """Makes two pods, a run on both, and a run that has to wait for one of them; returns the names of the runs."""
    both = f"both-{mark}"
    await asyncio.gather(stage.pod(f"a-{mark}", both), stage.pod(f"b-{mark}", both))
    await stage.run(f"older-{mark}", both)
    await stage.run(f"younger-{mark}", f"b-{mark}")
    return [f"older-{mark}", f"younger-{mark}"]


async def expect_the_end(stage: Stage, names: list[str]) -> None:
    """Every run is Completed, with one tool container for each of its targets."""
    done: list[Object] = await asyncio.gather(*(stage.finished(name) for name in names))
    assert {phase(run) for run in done} == {"Completed"}
    await stage.expect_one_tool_for_each_target()


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_crash_at_any_write_is_made_good(
    control_plane: Cluster, scene: tuple[Stage, ToyKubelet], assassin: Assassin, moment: Moment
) -> None:
    """At the first write, the second one, and so on until the runs end without a crash: restarted, all ends well."""
    stage, _ = scene
    everything: list[str] = []
    assassin.victim = program = await Program.start(assassin.kubeconfig)
    for number in count():
        mark = f"n{number}n"
        assassin.aim(Shot(number, moment, of=mark))
        names = await workload(stage, mark)
        everything += names
        done = asyncio.gather(*(stage.finished(name) for name in names))
        died = asyncio.create_task(program.ended())
        await asyncio.wait((done, died), return_when=asyncio.FIRST_COMPLETED)
        if not assassin.has_fired:
            await done
            break  # what comes now are events, and a crash at one of those is a crash at rest
        await program.kill()
        await died
        assassin.victim = program = await Program.start(assassin.kubeconfig)
        await done
        await expect_the_end(stage, names)
        assert program.complaints() == []
    if assassin.has_fired:  # at an event, after the runs had ended
        await program.ended()
    else:
        assassin.aim(None)
        assert await program.stop() == 0 or assassin.has_fired  # one may have been under way
    died.cancel()
    # Two freezings, the conflict, three injections, two ends, and events between them.
    assert number >= 8, assassin.writes
    await expect_the_end(stage, everything)
    await expect_silence(control_plane, stage)


async def test_a_crash_loop_makes_progress(
    control_plane: Cluster, scene: tuple[Stage, ToyKubelet], assassin: Assassin
) -> None:
    """A controller that dies right after each of its writes gets there, one write in a life."""
    stage, _ = scene
    names = await workload(stage, "loop")
    done = asyncio.gather(*(stage.finished(name, seconds=200) for name in names))
    lives = 0
    while not done.done():
        lives += 1
        assassin.aim(Shot(0, "after"))
        assassin.victim = await Program.start(assassin.kubeconfig, wait=False)
        died = asyncio.create_task(assassin.victim.ended())
        await asyncio.wait((done, died), return_when=asyncio.FIRST_COMPLETED)
        await assassin.victim.kill()
        await died
        assert lives < 60
    await done
    await expect_the_end(stage, names)
    await expect_silence(control_plane, stage)


async def test_an_injection_whose_answer_is_lost_is_not_repeated(
    control_plane: Cluster, scene: tuple[Stage, ToyKubelet], assassin: Assassin
) -> None:
    """The container is stored, the controller dies before it hears of it: its successor sends none."""
    stage, kubelet = scene
    await stage.pod("a")
    kubelet.stopped = True
    await stage.run("only", "a")
    assassin.aim(Shot(0, "after", of="/ephemeralcontainers"))
    assassin.victim = await Program.start(assassin.kubeconfig, wait=False)
    await assassin.victim.ended()
    audit = Audit(control_plane.audit_log)
    successor = await Program.start(stage.kubeconfig)
    await stage.run("probe", "nobody")
    await stage.rest.until(runs(stage.name, "probe"), lambda r: phase(r) == "Pending")
    await successor.stop()
    assert [write for write in audit.writes() if "ephemeralcontainers" in write] == []
    assert len((await stage.tool_containers())["a"]) == 1


async def expect_silence(cluster: Cluster, stage: Stage) -> None:
    """One more controller finds nothing to write: terminal is final."""
    found = await stage.rest.get(runs(stage.name))
    assert all(is_finished(run) for run in found["items"])
    audit = Audit(cluster.audit_log)
    program = await Program.start(stage.kubeconfig)
    await stage.pod("last")
    await stage.run("last", "last")
    await stage.finished("last")
    await program.stop()
    assert [write for write in audit.writes() if "/last/" not in write] == []
