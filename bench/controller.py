"""The controller beside a client without logic that sends the same writes, on one real API server, in one run.

    python -m bench.controller [--runs 500] [--pods 1] [--drip 200] [--rate 20] [--rounds 3]

Each round: fresh pods and runs, first the floor (:mod:`bench.blind`), then the controller, then at rest, then a steady
load on top. A toy kubelet in this process says that a tool runs after 50 ms and ends after 100 ms more. Ratios hold
better than absolutes: the machine is shared by the API server, the kubelet and the client.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from devcluster import Cluster
from devcluster.__main__ import cluster_here
from tests.cluster.rest import Rest, configs, pods, runs
from tests.cluster.stage import a_config, a_run, install
from tests.cluster.toykubelet import ToyKubelet, a_pod

TICKS = os.sysconf("SC_CLK_TCK")
IN_FLIGHT = 24
PADDING = {f"pad.example/{number}": "x" * 200 for number in range(12)}
"""Makes a pod as large as real ones are: 4 KB of annotations."""


class Measured:
    """Is what one program did with the runs of one namespace."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.injected = self.completed = 0.0
        self.cpu = self.peak = 0.0
        self.drip_p50 = self.patch_p50 = 0.0

    def __str__(self) -> str:
        return (
            f"{self.name:12} injected {self.injected:6.2f} s   completed {self.completed:6.2f} s   "
            f"cpu {self.cpu:5.2f} s   peak {self.peak:4.0f} MB"
        )


async def main(options: argparse.Namespace) -> None:
    """Runs the rounds on a control plane of its own and prints each, then the medians of the ratios."""
    cluster = cluster_here(
        "toe-bench", node=False, extra_apiserver_args=("--disable-admission-plugins=ServiceAccount",)
    )
    cluster.down()
    ratios = []
    with cluster:
        async with Rest.of(cluster.kubeconfig) as rest:
            await install(rest)
            await rest.apply(configs("bench"), a_config("bench"))
            for number in range(options.rounds):
                ratios.append(await one_round(cluster, rest, options, number))
    for index, name in enumerate(("injected", "completed", "cpu", "drip p50 / bare patch p50")):
        values = sorted(ratio[index] for ratio in ratios)
        print(f"median ratio, controller to floor, {name}: {statistics.median(values):.2f} (of {values})")


async def one_round(
    cluster: Cluster, rest: Rest, options: argparse.Namespace, number: int
) -> tuple[float, float, float, float]:
    """Measures the floor and the controller, each on fresh objects of the same shape."""
    floor = await load(cluster, rest, options, f"floor-{number}", "bench.blind")
    print(floor, flush=True)
    real = await load(cluster, rest, options, f"toe-{number}", "toe.main")
    print(real, flush=True)
    drip = real.drip_p50 / real.patch_p50 if options.drip else 0.0
    return (
        round(real.injected / floor.injected, 2),
        round(real.completed / floor.completed, 2),
        round(real.cpu / floor.cpu, 2),
        round(drip, 2),
    )


async def load(cluster: Cluster, rest: Rest, options: argparse.Namespace, namespace: str, module: str) -> Measured:
    """Makes pods and runs, starts the program, and follows until all runs are Completed."""
    await rest.namespace(namespace)
    is_real = module == "toe.main"
    total = options.runs + (options.drip if is_real else 0)
    async with ToyKubelet(rest):
        await each(total * options.pods, lambda i: rest.create(pods(namespace), bench_pod(i, options.pods)))
        await until_all(rest, pods(namespace), lambda pod: pod["status"].get("phase") == "Running")
        await each(options.runs, lambda i: rest.create(runs(namespace), bench_run(i)))
        measured = Measured(module)
        follow = asyncio.create_task(watch(rest, namespace, options))
        await asyncio.sleep(1.0)
        arguments = ["controller", "--kubeconfig", str(cluster.kubeconfig)]
        if not is_real:
            arguments = [str(cluster.kubeconfig), namespace]
        started = time.monotonic()
        async with program(module, arguments) as pid:
            async with asyncio.timeout(300):
                first, last = await follow
            measured.injected, measured.completed = first - started, last - started
            await settle(pid)
            measured.cpu, measured.peak = cpu(pid), peak(pid)
            if is_real:
                await at_rest(cluster, pid)
                if options.drip:
                    await drip(rest, namespace, options, measured)
    await rest.delete(runs(namespace))
    await rest.delete(pods(namespace), grace=0)
    return measured


async def watch(rest: Rest, namespace: str, options: argparse.Namespace) -> tuple[float, float]:
    """Returns when the last target was injected and when the last run was Completed."""
    wanted = options.runs * options.pods
    injected: set[str] = set()
    completed: set[str] = set()
    moment: dict[str, float] = {}

    async def follow(path: str, on: Any) -> None:
        listed = await rest.get(path, limit=1)
        async for _, obj in rest.watch(path, listed["metadata"]["resourceVersion"]):
            if on(obj):
                return

    def on_pod(pod: Any) -> bool:
        if pod["spec"].get("ephemeralContainers"):
            injected.add(pod["metadata"]["name"])
        moment["injected"] = time.monotonic()
        return len(injected) >= wanted

    def on_run(run: Any) -> bool:
        if run.get("status", {}).get("phase") == "Completed":
            completed.add(run["metadata"]["name"])
        moment["completed"] = time.monotonic()
        return len(completed) >= options.runs

    await asyncio.gather(follow(pods(namespace), on_pod), follow(runs(namespace), on_run))
    return moment["injected"], moment["completed"]


async def at_rest(cluster: Cluster, pid: int, seconds: float = 6.0) -> None:
    """Prints what the controller does when nothing happens."""
    began, used = cluster.audit_log.stat().st_size, cpu(pid)
    await asyncio.sleep(seconds)
    with cluster.audit_log.open("rb") as log:
        log.seek(began)
        asked = [json.loads(line) for line in log if b'"userAgent":"toe/' in line]
    other = [entry for entry in asked if entry["verb"] != "watch"]
    print(f"  at rest {seconds:.0f} s: {len(other)} requests beside watches, cpu {cpu(pid) - used:.2f} s", flush=True)


async def drip(rest: Rest, namespace: str, options: argparse.Namespace, measured: Measured) -> None:
    """Creates runs at a steady rate and times each from its creation to the container in its pod."""
    seen: dict[str, float] = {}
    listed = await rest.get(pods(namespace), limit=1)

    async def follow() -> None:
        async for _, pod in rest.watch(pods(namespace), listed["metadata"]["resourceVersion"]):
            if pod["spec"].get("ephemeralContainers"):
                seen.setdefault(pod["metadata"]["labels"]["group"], time.monotonic())
            if len(made) == options.drip and made.keys() <= seen.keys():
                return

    made: dict[str, float] = {}
    follower = asyncio.create_task(follow())
    await asyncio.sleep(0.5)
    bare: list[float] = []
    for index in range(options.runs, options.runs + options.drip):
        began = time.monotonic()
        made[f"g{index}"] = began
        await rest.create(runs(namespace), bench_run(index))
        patched = time.monotonic()
        await rest.merge(
            pods(namespace, f"p{index % options.runs}"), {"metadata": {"annotations": {"bare": str(index)}}}
        )
        bare.append(time.monotonic() - patched)
        await asyncio.sleep(max(0.0, 1 / options.rate - (time.monotonic() - began)))
    await follower
    waits = sorted((seen[group] - made[group]) * 1000 for group in made)
    measured.drip_p50, measured.patch_p50 = statistics.median(waits), statistics.median(bare) * 1000
    p99 = waits[int(len(waits) * 0.99)]
    print(
        f"  {options.drip} runs at {options.rate:.0f}/s on top: create to injected p50 {measured.drip_p50:.1f} ms, "
        f"p99 {p99:.1f} ms; a bare patch of a pod p50 {measured.patch_p50:.1f} ms",
        flush=True,
    )


def bench_pod(index: int, group: int) -> Any:
    """Is a pod of about 9 KB, as real ones are."""
    pod = a_pod(f"p{index}", {"group": f"g{index // group}", "app": "bench"})
    pod["metadata"]["annotations"] = PADDING
    pod["spec"]["containers"][0]["env"] = [{"name": f"E{number}", "value": "v" * 20} for number in range(15)]
    return pod


def bench_run(index: int) -> Any:
    """Is a run of the tool on one group of pods."""
    return a_run(f"r{index}", "bench", {"group": f"g{index}"})


async def each(count: int, make: Any) -> None:
    """Makes many objects, some at a time."""
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def one(index: int) -> None:
        async with gate:
            await make(index)

    await asyncio.gather(*(one(index) for index in range(count)))


async def until_all(rest: Rest, path: str, accept: Any) -> None:
    """Waits until every object of a collection is as wanted."""
    for obj in (await rest.get(path))["items"]:
        await rest.until(f"{path}/{obj['metadata']['name']}", accept, seconds=120)


@asynccontextmanager
async def program(module: str, arguments: list[str]) -> Any:
    """Runs a module of ours as a process of its own, and stops it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def settle(pid: int) -> None:
    """Waits until the program has sent its last event: until it used no CPU for a second."""
    used = -1.0
    while (now := cpu(pid)) - used > 0.005:
        used = now
        await asyncio.sleep(1.0)


def cpu(pid: int) -> float:
    """Is the CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak(pid: int) -> float:
    """Is the largest resident memory of a process so far, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--pods", type=int, default=1, help="pods of each run")
    parser.add_argument("--drip", type=int, default=200, help="runs of the steady load; 0 for none")
    parser.add_argument("--rate", type=float, default=20.0, help="runs a second of the steady load")
    parser.add_argument("--rounds", type=int, default=3)
    asyncio.run(main(parser.parse_args()))
