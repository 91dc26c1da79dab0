"""Two controllers and one Lease, on a real API server: one works, and the other does when it no longer can."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from devcluster import Cluster
from tests.cluster.program import Program
from tests.cluster.rest import Object, Rest, phase
from tests.cluster.stage import Stage, staged
from toe.kube.lease import DURATION

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

LEASES = "/apis/coordination.k8s.io/v1/namespaces/toe-system/leases"


@pytest.fixture
async def stage(control_plane: Cluster) -> AsyncIterator[Stage]:
    """A namespace of its own, with a tool, and a kubelet that plays the pods in it."""
    async with staged(control_plane) as (found, _):
        yield found


class Pair:
    """Is two controllers that stand for the same Lease."""

    def __init__(self, cluster: Cluster, rest: Rest, name: str) -> None:
        self.cluster, self.rest, self.name = cluster, rest, name
        self.programs: dict[str, Program] = {}
        """By identity."""
        self._number = 0

    async def start(self, *flags: str) -> str:
        """Starts one more and returns how it is told apart."""
        self._number += 1
        pod = f"replica-{self._number}"
        words = ("--leader-elect", "--lease-name", self.name, "--identity", pod)
        self.programs[pod] = await Program.start(self.cluster.kubeconfig, *words, *flags)
        return pod

    async def lease(self) -> Object:
        """Reads the Lease as it is."""
        return await self.rest.get(f"{LEASES}/{self.name}")

    async def leader(self, but: str = "", seconds: float = DURATION + 6) -> str:
        """Waits until somebody leads, other than ``but``."""
        found = await self.rest.until(
            f"{LEASES}/{self.name}",
            lambda lease: (lease["spec"].get("holderIdentity") or "").partition("_")[0] not in ("", but),
            seconds=seconds,
        )
        return str(found["spec"]["holderIdentity"]).partition("_")[0]


@pytest.fixture
async def pair(control_plane: Cluster, stage: Stage) -> AsyncIterator[Pair]:
    """Two that are ready; all that were started are gone afterwards, and the Lease too."""
    async with AsyncExitStack() as stack:
        found = Pair(control_plane, stage.rest, f"toe-{time.time_ns():x}")
        for _ in range(2):
            await found.start()
        yield found
        for program in found.programs.values():
            stack.push_async_callback(program.kill)
        await stage.rest.delete(f"{LEASES}/{found.name}")


async def finish(stage: Stage, names: list[str]) -> None:
    """Every run is Completed, with one tool container for each of its targets."""
    done: list[Object] = await asyncio.gather(*(stage.finished(name, seconds=60) for name in names))
    assert {phase(run) for run in done} == {"Completed"}
    await stage.expect_one_tool_for_each_target()


async def test_one_works_and_hands_over_when_it_is_told_to_stop(pair: Pair, stage: Stage) -> None:
    """Within about a second; the other one is ready all the time and says nothing to anybody."""
    first = await pair.leader()
    await stage.pod("a", "web")
    await stage.run("one", "web")
    await finish(stage, ["one"])
    began = time.monotonic()
    assert await pair.programs[first].stop() == 0
    second = await pair.leader(but=first)
    print(f"handed over after {time.monotonic() - began:.1f} s")
    assert second != first
    await stage.run("two", "web")
    await finish(stage, ["one", "two"])
    lease = await pair.lease()
    assert lease["spec"]["leaseTransitions"] >= 1


async def test_killed_at_any_moment_the_other_takes_over(pair: Pair, stage: Stage) -> None:
    """Three times, while runs are being worked on: one container for each run and pod, and every run ends."""
    chance, names = random.Random(15), []
    await asyncio.gather(*(stage.pod(f"p-{number}", "web") for number in range(3)))
    for round_ in range(3):
        leader = await pair.leader()
        names.append(f"run-{round_}")
        await stage.run(names[-1], "web")
        await asyncio.sleep(chance.uniform(0.0, 0.3))
        await pair.programs.pop(leader).kill()
        began = time.monotonic()
        await pair.leader(but=leader)
        taken = time.monotonic() - began
        print(f"taken over after {taken:.1f} s")
        assert taken < DURATION + 5
        await pair.start()
    await finish(stage, names)


async def test_frozen_past_its_time_it_writes_nothing_when_it_wakes(pair: Pair, stage: Stage) -> None:
    """And ends, to be started anew as one who stands by; meanwhile the other one did the work, once."""
    leader = await pair.leader()
    frozen = pair.programs[leader]
    await asyncio.gather(*(stage.pod(f"p-{number}", "web") for number in range(3)))
    await stage.run("before", "web")
    frozen.signal(signal.SIGSTOP)
    try:
        await stage.run("during", "web")
        await pair.leader(but=leader)
        await finish(stage, ["before", "during"])
    finally:
        frozen.signal(signal.SIGCONT)
    assert await asyncio.wait_for(frozen.ended(), 30) == 1
    assert any("LostError" in str(line.get("error")) for line in frozen.log)
    await stage.expect_one_tool_for_each_target()
