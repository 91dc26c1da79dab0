"""Two controllers and one Lease, on a real API server: one works, and the other does when it no longer can."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import Cluster
from tests.cluster.program import Audit, Program
from tests.cluster.rest import Object, RefusedError, Rest, is_finished, phase, runs
from tests.cluster.stage import Stage, staged
from tests.cluster.toykubelet import ToyKubelet
from toe.kube.lease import LOOK

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

LEASES = "/apis/coordination.k8s.io/v1/namespaces/toe-system/leases"
DURATION = 5
"""Seconds: a third of what is installed, so that a test sees several leaders."""
SOON = DURATION * (1 + LOOK) + 1.5
"""Within which another one leads; a busy machine takes its part."""


@pytest.fixture
async def scene(control_plane: Cluster) -> AsyncIterator[tuple[Stage, ToyKubelet]]:
    """A namespace of its own, with a tool, and a kubelet that plays the pods in it."""
    async with staged(control_plane) as found:
        yield found


class Replicas:
    """Is controllers that stand for the same Lease, each with a name of its own at the API server."""

    def __init__(self, cluster: Cluster, rest: Rest, place: Path) -> None:
        self.name = f"toe-{time.time_ns():x}"
        self.flags: tuple[str, ...] = ()
        self.programs: dict[str, Program] = {}
        self.ended: dict[str, Program] = {}
        self._cluster, self._rest, self._place = cluster, rest, place
        self._number = 0

    async def start(self, *, group: str = "system:masters", wait: bool = True) -> str:
        """Starts one more with the rights of a group, waits until it is ready, and returns its name."""
        self._number += 1
        name = f"replica-{self._number}"
        config = yaml.safe_load(self._cluster.kubeconfig.read_text())
        config["users"][0]["user"] |= {"as": name, "as-groups": [group]}
        kubeconfig = self._place / name
        kubeconfig.write_text(yaml.safe_dump(config))
        words = ("--leader-elect", "--lease-name", self.name, "--lease-duration", f"{DURATION}s", "--identity", name)
        self.programs[name] = await Program.start(kubeconfig, *words, *self.flags, wait=wait)
        return name

    async def lease(self) -> Object:
        """Reads what the Lease says."""
        spec: Object = (await self._rest.get(f"{LEASES}/{self.name}"))["spec"]
        return spec

    async def leader(self, but: str = "", seconds: float = SOON) -> str:
        """Waits until somebody leads, other than ``but``."""
        found = await self._rest.until(
            f"{LEASES}/{self.name}",
            lambda lease: (lease["spec"].get("holderIdentity") or "").partition("_")[0] not in ("", but),
            seconds=seconds,
        )
        return str(found["spec"]["holderIdentity"]).partition("_")[0]

    async def kill(self, name: str) -> None:
        """Ends one as a crash does."""
        self.ended[name] = self.programs.pop(name)
        await self.ended[name].kill()

    def asked(self, audit: Audit, name: str) -> list[dict[str, Any]]:
        """Lists what one of them asked the API server for, beside its watches and the Lease."""
        return [
            entry
            for entry in audit.requests()
            if entry.get("impersonatedUser", {}).get("username") == name
            and entry["verb"] != "watch"
            and entry["objectRef"]["resource"] != "leases"
        ]


@asynccontextmanager
async def replicas(
    cluster: Cluster, stage: Stage, place: Path, *flags: str, number: int = 2
) -> AsyncIterator[Replicas]:
    """Is some that are ready; all that were started are gone afterwards, without a complaint, and the Lease too."""
    found = Replicas(cluster, stage.rest, place)
    found.flags = flags
    try:
        for _ in range(number):
            await found.start()
        yield found
    finally:
        for name in [*found.programs]:
            await found.kill(name)
        await stage.rest.delete(f"{LEASES}/{found.name}")
    assert [line for program in found.ended.values() for line in program.complaints()] == []


async def finish(stage: Stage, names: list[str], seconds: float = 60.0) -> None:
    """Every run is Completed, with one tool container for each of its targets."""
    done: list[Object] = await asyncio.gather(*(stage.finished(name, seconds=seconds) for name in names))
    assert {phase(run) for run in done} == {"Completed"}
    await stage.expect_one_tool_for_each_target()


async def test_one_works_and_hands_over_when_it_is_told_to_stop(
    control_plane: Cluster, scene: tuple[Stage, ToyKubelet], tmp_path: Path
) -> None:
    """Within about a second; until then the other one is ready and asks for nothing but its watches and the Lease."""
    stage, _ = scene
    async with replicas(control_plane, stage, tmp_path) as pair:
        first = await pair.leader()
        (second,) = pair.programs.keys() - {first}
        audit = Audit(control_plane.audit_log)
        await stage.pod("a", "web")
        await stage.run("one", "web")
        await finish(stage, ["one"])
        assert pair.asked(audit, first)
        assert pair.asked(audit, second) == []
        began = time.monotonic()
        assert await pair.programs[first].stop() == 0
        assert await pair.leader(but=first) == second
        taken = time.monotonic() - began
        print(f"handed over after {taken:.2f} s")
        assert taken < LOOK * DURATION + 1.5
        await stage.run("two", "web")
        await finish(stage, ["one", "two"])
        spec = await pair.lease()
        assert (spec["leaseTransitions"], spec["leaseDurationSeconds"]) == (1, DURATION)


async def test_who_cannot_read_the_cluster_does_not_lead(
    control_plane: Cluster, scene: tuple[Stage, ToyKubelet], tmp_path: Path
) -> None:
    """Though it could take the Lease: nobody would work."""
    stage, _ = scene
    rules = [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]}]
    rbac, about = "rbac.authorization.k8s.io", {"metadata": {"name": "blind"}}
    role = {"apiGroup": rbac, "kind": "Role", "name": "blind"}
    subjects = [{"apiGroup": rbac, "kind": "Group", "name": "blind"}]
    roles = f"/apis/{rbac}/v1/namespaces/toe-system"
    head = {"apiVersion": f"{rbac}/v1", **about}
    await stage.rest.apply(f"{roles}/roles/blind", {**head, "kind": "Role", "rules": rules})
    binding = {**head, "kind": "RoleBinding", "roleRef": role, "subjects": subjects}
    await stage.rest.apply(f"{roles}/rolebindings/blind", binding)
    async with replicas(control_plane, stage, tmp_path, number=0) as found:
        blind = found.programs[await found.start(group="blind", wait=False)]
        async with asyncio.timeout(20):
            while not any(line.get("event") == "watch interrupted" for line in blind.log):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        with pytest.raises(RefusedError, match="not found"):
            await found.lease()
        seeing = await found.start()
        assert await found.leader() == seeing


@pytest.mark.parametrize("duration", ["2s", "3500ms", "soon"])
async def test_a_duration_that_a_lease_cannot_have_is_refused(control_plane: Cluster, duration: str) -> None:
    """The API keeps whole seconds, and within fewer than three nothing is renewed in time."""
    program = await Program.start(control_plane.kubeconfig, "--lease-duration", duration, wait=False)
    assert await program.ended() == 2
    await program.kill()
    assert "--lease-duration" in program.log[0]["event"]


async def test_at_rest_there_are_only_watches_and_the_lease(
    control_plane: Cluster, scene: tuple[Stage, ToyKubelet], tmp_path: Path
) -> None:
    """Of both; the leader renews and the other one looks."""
    stage, _ = scene
    await stage.pod("a", "web")
    async with replicas(control_plane, stage, tmp_path) as pair:
        first = await pair.leader()
        await stage.run("one", "web")
        await finish(stage, ["one"])
        await asyncio.sleep(3)  # the last events, and the progress that may wait for 2 s
        audit = Audit(control_plane.audit_log)
        await asyncio.sleep(6)  # not a wait for something: the promise is that nothing happens
        for name in pair.programs:
            assert pair.asked(audit, name) == []
        verbs = Counter(
            (entry["impersonatedUser"]["username"] == first, entry["verb"])
            for entry in audit.requests()
            if entry["objectRef"]["resource"] == "leases" and entry["objectRef"]["name"] == pair.name
        )
        assert set(verbs) == {(True, "patch"), (False, "get")}


async def test_killed_at_any_moment_the_other_takes_over(
    control_plane: Cluster, scene: tuple[Stage, ToyKubelet], tmp_path: Path
) -> None:
    """Six times, while runs are being worked on: one container for each run and pod, and every run ends."""
    stage, _ = scene
    chance, names = random.Random(15), []
    await asyncio.gather(*(stage.pod(f"p-{number}", "web") for number in range(3)))
    async with replicas(control_plane, stage, tmp_path) as pair:
        for number in range(6):
            leader = await pair.leader()
            made = [f"run-{number}-{half}" for half in "ab"]
            await asyncio.gather(*(stage.run(name, "web") for name in made))
            names += made
            await asyncio.sleep(chance.uniform(0.0, 0.3))
            await pair.kill(leader)
            began = time.monotonic()
            await pair.leader(but=leader)
            print(f"taken over after {time.monotonic() - began:.1f} s")
            await pair.start()
        await finish(stage, names)


@pytest.mark.parametrize("seed", range(3))
async def test_frozen_past_its_time_it_writes_nothing_when_it_wakes(
    control_plane: Cluster, scene: tuple[Stage, ToyKubelet], tmp_path: Path, seed: int
) -> None:
    """None that is accepted; it ends, to be started anew, and the other one has done the work meanwhile, once."""
    stage, _ = scene
    await asyncio.gather(*(stage.pod(f"p-{number}", "web") for number in range(3)))
    async with replicas(control_plane, stage, tmp_path) as pair:
        leader = await pair.leader()
        frozen = pair.programs.pop(leader)
        names = [f"before-{number}" for number in range(6)]
        try:
            await asyncio.gather(*(stage.run(name, "web") for name in names))
            await asyncio.sleep(random.Random(seed).uniform(0.0, 0.15))
            frozen.signal(signal.SIGSTOP)
            await stage.run("during", "web")
            await pair.leader(but=leader)
            await finish(stage, [*names, "during"])
            audit = Audit(control_plane.audit_log)
            frozen.signal(signal.SIGCONT)
            assert await asyncio.wait_for(frozen.ended(), 10) == 1
        finally:
            await frozen.kill()
        (told,) = (line["error"] for line in frozen.complaints() if "error" in line)  # uvloop may have words of its own
        assert "LostError" in told
        # What was in its connection when it froze arrives now, and is about a version that there is no more.
        late = [entry for entry in pair.asked(audit, leader) if entry["verb"] == "patch"]
        accepted = [entry for entry in late if entry["responseStatus"]["code"] < 400]
        assert [entry["requestURI"] for entry in accepted if entry["objectRef"]["resource"] != "events"] == []
        await stage.expect_one_tool_for_each_target()


async def test_what_a_namespace_may_have_at_most_holds_over_two_leaders(
    control_plane: Cluster, scene: tuple[Stage, ToyKubelet], tmp_path: Path
) -> None:
    """Two runs at a time, and six containers in a minute, though the leader dies among them."""
    stage, kubelet = scene
    await asyncio.gather(*(stage.pod(f"p-{number}", f"p-{number}") for number in range(10)))
    limits = ("--max-active-runs", "2", "--max-injections-per-minute", "6")
    async with replicas(control_plane, stage, tmp_path, *limits) as pair:
        leader = await pair.leader()
        active: dict[str, bool] = {}
        most = 0
        version = (await stage.rest.get(runs(stage.name)))["metadata"]["resourceVersion"]

        async def count() -> None:
            nonlocal most
            async with aclosing(stage.rest.watch(runs(stage.name), version)) as events:
                async for _, run in events:
                    is_frozen = bool(run.get("status", {}).get("targets"))
                    active[run["metadata"]["name"]] = is_frozen and not is_finished(run)
                    most = max(most, sum(active.values()))

        counting = asyncio.create_task(count())
        try:
            began = time.monotonic()
            await asyncio.gather(*(stage.run(f"run-{number}", f"p-{number}") for number in range(10)))
            await kubelet.saw(stage.name, 3, seconds=30)
            await pair.kill(leader)
            before = await injected(stage)
            await pair.leader(but=leader)
            await kubelet.saw(stage.name, 6, seconds=30)
            await asyncio.sleep(4)  # not a wait for something: the promise is that no more come in this minute
            assert await injected(stage) == 6
            assert time.monotonic() - began < 55, "the minute is over: this proves nothing"
            assert before < 6
            assert most == 2
            assert not counting.done()
        finally:
            counting.cancel()
            await asyncio.gather(counting, return_exceptions=True)


async def injected(stage: Stage) -> int:
    """Counts the tool containers of all pods."""
    return sum(map(len, (await stage.tool_containers()).values()))
