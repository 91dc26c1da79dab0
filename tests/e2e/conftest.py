"""A node with tools, targets of all kinds, and a controller that is a real process."""

import asyncio
import hashlib
import json
import platform
import tarfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import Cluster, binaries
from devcluster import images as archives
from examples.shop import demo
from tests.cluster.program import Program, running
from tests.cluster.rest import Object, Rest, configs, is_finished, pods, runs
from tests.cluster.stage import a_config, a_run, install
from tests.e2e.nodes import node_for_the_operator
from toe.report.frames import FrameReader
from tools import images

TOP = Path(__file__).resolve().parents[2]
SHOP = "localhost/toe/shop:dev"
PROBE = "localhost/toe/probe:test"

# Short, so that a tool that never starts is given up within a test; otherwise the defaults.
FLAGS = ("--start-error-allowance", "6s", "--start-deadline", "60s")

RESTRICTED = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}

_numbers = count(1)


@dataclass(frozen=True)
class Outcome:
    """What one target of a finished run left."""

    target: Object
    """As the run's status has it."""
    container: Object
    """As the pod's spec has it."""
    ended: Object
    """The ``terminated`` state that the kubelet reports."""
    log: str
    files: dict[str, bytes]

    @property
    def reported(self) -> Object:
        return self.target.get("reported", {})

    @property
    def security(self) -> Object:
        return self.container["securityContext"]


class Node:
    """A cluster with a node, the API of toe, and what tests do with it."""

    def __init__(self, cluster: Cluster, rest: Rest) -> None:
        self.cluster = cluster
        self.rest = rest

    async def namespace(self, level: str = "privileged", labels: Mapping[str, str] | None = None) -> str:
        """Makes a namespace with a Pod Security level, in which pods can be made."""
        name = f"e2e-{next(_numbers)}"
        metadata = {"name": name, "labels": {"pod-security.kubernetes.io/enforce": level, **(labels or {})}}
        await self.rest.ensure("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        await self.rest.until(account, lambda _: True)
        return name

    async def pod(self, namespace: str, name: str, spec: Object, **labels: str) -> Object:
        """Makes a pod, and waits until it is ready."""
        metadata = {"name": name, "labels": {"pod": name, **labels}}
        await self.rest.create(
            pods(namespace), {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**BARE, **spec}}
        )
        return await self.rest.until(pods(namespace, name), is_ready, seconds=90)

    async def tool(self, name: str, **spec: Any) -> Object:
        """Writes a PowerToolConfig whose tool is the probe, unless ``spec`` says otherwise."""
        probe = {"image": PROBE, "imagePullPolicy": "Never", "command": ["/probe"], "arguments": {"any": True}}
        probe["output"] = {"modes": ["ephemeral"]}
        return await self.rest.apply(configs(name), a_config(name, **{**probe, **spec}))

    async def run(
        self,
        namespace: str,
        name: str,
        tool: str,
        labels: dict[str, str],
        *words: str,
        duration: str = "3s",
        container: str | None = None,
        **spec: Any,
    ) -> Object:
        """Makes a run; the words are the user's arguments."""
        run = a_run(name, tool, labels, duration, **spec)
        if words:
            run["spec"]["tool"]["args"] = list(words)
        if container is not None:
            run["spec"]["targets"]["container"] = container
        return await self.rest.create(runs(namespace), run)

    async def until(self, namespace: str, name: str, accept: Any, *, seconds: float = 60.0) -> Object:
        """Waits until a run is as wanted."""
        return await self.rest.until(runs(namespace, name), accept, seconds=seconds)

    async def finished(self, namespace: str, name: str, *, seconds: float = 90.0) -> Object:
        """Waits until a run is terminal."""
        return await self.until(namespace, name, is_finished, seconds=seconds)

    async def outcome(self, run: Object, index: int = 0) -> Outcome:
        """Reads what one target of a run left: from the status, the pod and the log."""
        namespace, target = run["metadata"]["namespace"], run["status"]["targets"][index]
        pod = await self.rest.get(pods(namespace, target["pod"]))
        tool = target["toolContainer"]
        (container,) = [c for c in pod["spec"]["ephemeralContainers"] if c["name"] == tool]
        (status,) = [s for s in pod["status"]["ephemeralContainerStatuses"] if s["name"] == tool]
        log = await self.rest.text(pods(namespace, target["pod"], "log"), container=tool)
        reader = FrameReader()
        for line in log.encode().split(b"\n"):
            reader.feed(line)
        framed = reader.close()
        assert framed.problems == ()
        files = {file.name: file.content for file in framed.files}
        return Outcome(target, container, status["state"].get("terminated", {}), log, files)

    async def kubectl(self, *words: str, stdin: str = "") -> str:
        """Runs kubectl beside everything else; DevClusterError when it fails."""
        return await asyncio.to_thread(self.cluster.kubectl, *words, stdin=stdin)

    async def kubectl_json(self, *words: str) -> Object:
        """Runs kubectl and reads the JSON that it prints."""
        return json.loads(await self.kubectl(*words, "-o", "json"))


BARE: Object = {"automountServiceAccountToken": False, "enableServiceLinks": False, "terminationGracePeriodSeconds": 1}


def is_ready(pod: Object) -> bool:
    """Tells whether a pod is ready: the readiness probe of each container was answered."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def shop(uid: int, *, restricted: bool = True) -> Object:
    """Is the container app of a shop that runs as this uid and gid, ready when it answers."""
    security = {"runAsUser": uid, "runAsGroup": uid, **(RESTRICTED if restricted else {})}
    return {
        "name": "app",
        "image": SHOP,
        "imagePullPolicy": "Never",
        "securityContext": security,
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1},
    }


def customers(name: str, uid: int, **more: Any) -> Object:
    """Is a container that buys in the shop of its pod, ten times a second."""
    security = {"runAsUser": uid, "runAsGroup": uid, **RESTRICTED}
    command = ["python3", "/app/load.py", "--per-second", "10"]
    return {
        "name": name,
        "image": SHOP,
        "imagePullPolicy": "Never",
        "command": command,
        "securityContext": security,
        **more,
    }


PLAIN: Object = {"containers": [shop(1001), customers("load", 1001)]}
"""A shop as Pod Security restricted wants it."""

ROOT: Object = {"containers": [shop(0, restricted=False), customers("load", 1001)]}
"""A shop as careless as most: root, with the runtime's default capabilities."""

MANY: Object = {
    "initContainers": [customers("agent", 3000, restartPolicy="Always")],
    "containers": [shop(1001), customers("load", 2000)],
}
"""A shop with a sidecar of another user, and a native sidecar of a third."""

SHARED: Object = {"shareProcessNamespace": True, "containers": [customers("load", 1001), shop(1001)]}
"""A shop whose containers see each other: PID 1 is the pause process."""


@pytest.fixture(scope="session")
def probe_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image with toe-run and the probe, named `PROBE`."""
    place = tmp_path_factory.mktemp("probe")
    probe, runner, archive = place / "probe", place / "toe-run", place / "probe.tar"
    cache = Path.home() / ".cache" / "toe"
    binaries.build_static(Path(__file__).parent / "probe", probe, cache, print)
    images.compile_runner(runner, cache, print)
    write_image(archive, PROBE, {"probe": probe, "toe-run": runner})
    return archive


def write_image(archive: Path, name: str, programs: Mapping[str, Path]) -> None:
    """Writes an image of static programs, and of a /tmp for everybody as every tool's image has."""
    layer = BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        directory = tarfile.TarInfo("tmp")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(directory)
        for path, source in programs.items():
            entry = tarfile.TarInfo(path)
            entry.mode, entry.size = 0o755, source.stat().st_size
            tar.addfile(entry, BytesIO(source.read_bytes()))
    digest = "sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()
    config = {
        "architecture": archives.ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": ["/toe-run"]},
        "rootfs": {"type": "layers", "diff_ids": [digest]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    contents = {
        "manifest.json": json.dumps(manifest).encode(),
        "config.json": json.dumps(config).encode(),
        "layer.tar": layer.getvalue(),
    }
    with tarfile.open(archive, "w") as tar:
        for path, content in contents.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, BytesIO(content))


@pytest.fixture(scope="session")
async def node(node_cluster: Cluster, probe_archive: Path) -> AsyncIterator[Node]:
    """A node with all images, the API of toe, and the configs of the catalogue; no controller yet."""
    for name in images.IMAGES:
        node_cluster.load(images.build(name))
    node_cluster.load(probe_archive)
    async with Rest.of(node_cluster.kubeconfig) as rest:
        await install(rest)
        for file in sorted((TOP / "tools").glob("*/powertoolconfig.yaml")):
            for config in yaml.safe_load_all(file.read_text()):
                await rest.apply(configs(config["metadata"]["name"]), config)
        yield Node(node_cluster, rest)


@pytest.fixture(scope="module")
async def controller(node: Node) -> AsyncIterator[Program]:
    """The controller, which nothing in the module may bring to complain."""
    async with running(node.cluster.kubeconfig, *FLAGS) as program:
        yield program


@pytest.fixture(scope="session")
def installed() -> Iterator[Cluster]:
    """The operator in pods, on a cluster of its own: the fence refuses what other tests do as administrators."""
    with node_for_the_operator("toe-operator-test") as (cluster, operator):
        demo.install(cluster, operator)
        demo.apply(cluster, *demo.tool_configs("strace"), *demo.tool_configs("py-spy"))
        cluster.kubectl("apply", "-f", str(TOP / "examples/shop/shop.yaml"))
        for what, place in (
            ("deployment/shop", "shop"),
            ("deployment/shop", "shop-open"),
            ("ds/agent", "node-watch"),
        ):
            cluster.kubectl("rollout", "status", what, "-n", place, "--timeout=90s", seconds=100)
        yield cluster
