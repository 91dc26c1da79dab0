"""How long ``toe webhook`` takes for an answer, alone and beside a busy controller, on one real API server.

    python -m bench.webhook [--rate 200] [--seconds 15] [--busy 20] [--rounds 3]

Reviews are sent at a fixed rate, whether answers come or not, over TLS, and timed from when they were due. Of the
tool ``bench`` the webhook asks nothing that it has not asked in the last seconds; of ``high`` it asks the API server
each time whether the requester may use it. Beside each of them, in the same seconds, a tenth as many requests go to
``/healthz`` of the same process: that is what the machine alone takes. A bare access review is the floor of the second.
"""

import argparse
import asyncio
import json
import ssl
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from bench.controller import bench_run, cpu, each, peak, program
from devcluster import Cluster
from devcluster.__main__ import cluster_here
from tests.cluster.hooked import free_port, install_catalog, ready
from tests.cluster.rest import GROUP, Rest, configs, pods, runs
from tests.cluster.stage import a_config, install
from tests.cluster.toykubelet import ToyKubelet, a_pod
from tests.webhook.pki import an_authority
from tests.webhook.reviews import a_run_review

NAMESPACE = "bench"
HIGH = {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}, "runAsRoot": True}
ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


async def main(options: argparse.Namespace) -> None:
    """Prints a line for each measurement, then the medians over the rounds."""
    cluster = cluster_here("toe-bench-webhook", node=False)
    cluster.down()
    found: dict[str, list[tuple[float, float]]] = {}
    with cluster, tempfile.TemporaryDirectory() as place:
        async with Rest.of(cluster.kubeconfig) as rest:
            await install(rest)
            await install_catalog(rest)
            await rest.apply(configs("bench"), a_config("bench"))
            await rest.apply(configs("high"), a_config("high", security=HIGH))
            await rest.namespace(NAMESPACE)
            for number in range(options.rounds):
                for is_busy in (False, True):
                    where = "beside a busy controller" if is_busy else "alone"
                    for key, value in (await one(cluster, rest, options, Path(place), is_busy=is_busy)).items():
                        name = f"{where}: {key}"
                        found.setdefault(name, []).append(value)
                        print(f"{number + 1}  {name}: p50 {value[0]:.1f} ms, p99 {value[1]:.1f} ms", flush=True)
    for name, values in found.items():
        middle = [statistics.median(value[index] for value in values) for index in (0, 1)]
        print(f"median  {name}: p50 {middle[0]:.1f} ms, p99 {middle[1]:.1f} ms")


async def one(
    cluster: Cluster, rest: Rest, options: argparse.Namespace, place: Path, *, is_busy: bool
) -> dict[str, tuple[float, float]]:
    """Measures the webhook and the floors, with or without a controller that has work."""
    port = free_port()
    certificate, key = an_authority().issue(place, "127.0.0.1")
    flags = ["--kubeconfig", str(cluster.kubeconfig), "--port", str(port)]
    flags += ["--tls-cert", str(certificate), "--tls-key", str(key)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "toe.main", "webhook", *flags, stderr=asyncio.subprocess.DEVNULL
    )
    works = asyncio.Event()
    taken: dict[str, tuple[float, float]] = {}
    busy = asyncio.create_task(keep_busy(cluster, rest, options, works)) if is_busy else None
    try:
        await ready(process, port)
        if is_busy:
            await works.wait()
        await asyncio.sleep(10.0 if is_busy else 2.0)
        before = cpu(process.pid)
        url = f"https://127.0.0.1:{port}"
        path = f"{url}/validate-powertool?timeout=5s"
        for tool, name in (("bench", "review"), ("high", "review that asks for a right")):
            target = {"url": path, "body": review(tool), "beside": f"{url}/healthz"}
            taken[name], taken[f"healthz beside {tool}"] = await shots(options, target)
            used = (cpu(process.pid) - before) / (options.seconds + 1)
            before = cpu(process.pid)
            print(f"   cpu of the webhook {used * 100:.0f} %, peak {peak(process.pid):.0f} MB", flush=True)
        right = {
            "verb": "use",
            "group": GROUP.partition("/")[0],
            "resource": "powertoolconfigs",
            "namespace": NAMESPACE,
        }
        spec = {"user": "alice", "groups": ["system:authenticated"], "resourceAttributes": right | {"name": "high"}}
        asked = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        floor = {"url": rest.server + ACCESS, "body": json.dumps(asked), "kubeconfig": str(cluster.kubeconfig)}
        (taken["a bare access review"],) = await shots(options, floor)
    finally:
        if busy is not None:
            busy.cancel()
            await asyncio.gather(busy, return_exceptions=True)
        process.terminate()
        await process.wait()
    return taken


def review(tool: str) -> str:
    """Is a review of a run of alice's."""
    return json.dumps(a_run_review(tool={"name": tool})).replace('"production"', f'"{NAMESPACE}"')


async def keep_busy(cluster: Cluster, rest: Rest, options: argparse.Namespace, works: asyncio.Event) -> None:
    """Lets a controller run tools at a steady rate, for as long as nobody stops it; tells when that begins."""
    total = int(options.busy * (options.seconds * 4 + 40))
    try:
        async with ToyKubelet(rest):
            await each(total, lambda index: rest.create(pods(NAMESPACE), a_pod(f"p{index}", {"group": f"g{index}"})))
            async with program("toe.main", ["controller", "--kubeconfig", str(cluster.kubeconfig)]):
                works.set()
                for index in range(total):
                    began = time.monotonic()
                    await rest.create(runs(NAMESPACE), bench_run(index))
                    await asyncio.sleep(max(0.0, 1 / options.busy - (time.monotonic() - began)))
    finally:
        await rest.delete(runs(NAMESPACE))
        await rest.delete(pods(NAMESPACE), grace=0)


async def shots(options: argparse.Namespace, target: dict[str, str]) -> list[tuple[float, float]]:
    """Lets a process of its own send the requests; returns p50 and p99 in ms, then those of the ones beside."""
    words = ("-m", "bench.webhook", "--rate", str(options.rate), "--seconds", str(options.seconds), "--shoot")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, json.dumps(target), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    return [(p50, p99) for p50, p99 in json.loads(printed)]


async def shoot(options: argparse.Namespace) -> None:
    """Sends at the rate, and prints p50 and p99 as JSON; the first second warms up and does not count."""
    target: dict[str, Any] = json.loads(options.shoot)
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    if "kubeconfig" in target:
        async with Rest.of(Path(target["kubeconfig"])) as rest:
            trust = rest.trust
    loop = asyncio.get_running_loop()
    taken: dict[str, list[float]] = {}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=trust)) as session:

        async def one_shot(url: str, body: str | None, due: float, *, counts: bool) -> None:
            headers = {"Content-Type": "application/json"}
            async with session.request("POST" if body else "GET", url, data=body, headers=headers) as found:
                assert found.status < 300, await found.text()
                await found.read()
            if counts:
                taken.setdefault(url, []).append((time.perf_counter() - due) * 1000)

        warm = int(options.rate)
        began = time.perf_counter() + 0.2
        tasks = []
        for number in range(warm + int(options.rate * options.seconds)):
            due = began + number / options.rate
            await asyncio.sleep(due - time.perf_counter())
            tasks.append(loop.create_task(one_shot(target["url"], target["body"], due, counts=number >= warm)))
            if "beside" in target and number % 10 == 5:
                due += 0.5 / options.rate
                await asyncio.sleep(due - time.perf_counter())
                tasks.append(loop.create_task(one_shot(target["beside"], None, due, counts=number >= warm)))
        await asyncio.gather(*tasks)
    found = [sorted(taken[url]) for url in (target["url"], target.get("beside")) if url]
    print(json.dumps([[statistics.median(values), values[int(len(values) * 0.99)]] for values in found]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=200.0, help="reviews a second")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--busy", type=float, default=20.0, help="runs a second of the controller")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shoot", default="", help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.shoot:
        uvloop.run(shoot(parsed))
    else:
        asyncio.run(main(parsed))
