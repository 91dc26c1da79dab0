"""The tools do what their configs promise in real pods: as the user they name, with the capabilities they name."""

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from devcluster import Cluster
from tools import images

pytestmark = [pytest.mark.node, pytest.mark.timeout(300)]

TOP = Path(__file__).resolve().parent.parent.parent

# A target as careless as most: root, with the runtime's default capabilities.
ROOT_SHOP = """
apiVersion: v1
kind: Pod
metadata: {name: root-shop, namespace: shop-open}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  containers:
    - {name: app, image: localhost/toe/shop:dev, imagePullPolicy: IfNotPresent, securityContext: {runAsUser: 0}}
    - {name: load, image: localhost/toe/shop:dev, imagePullPolicy: IfNotPresent, command: [python3, /app/load.py]}
"""

# Two containers that see each other: PID 1 is the pause process, and only the id in its cgroup tells the target.
SHARED_SHOP = """
apiVersion: v1
kind: Pod
metadata: {name: shared-shop, namespace: shop-open}
spec:
  automountServiceAccountToken: false
  shareProcessNamespace: true
  terminationGracePeriodSeconds: 1
  securityContext: {runAsUser: 10001, runAsGroup: 10001}
  containers:
    - {name: load, image: localhost/toe/shop:dev, imagePullPolicy: IfNotPresent, command: [python3, /app/load.py]}
    - name: app
      image: localhost/toe/shop:dev
      imagePullPolicy: IfNotPresent
      securityContext: {capabilities: {drop: [ALL]}}
"""


# The same, among all processes of the node.
HOST_SHOP = SHARED_SHOP.replace("shared-shop", "host-shop").replace("shareProcessNamespace", "hostPID")


class Outcome(NamedTuple):
    """What a finished tool left."""

    code: int
    summary: dict[str, Any]
    files: dict[str, bytes]
    log: str


@pytest.fixture(scope="module")
def shop(node_cluster: Cluster) -> Iterator[Cluster]:
    """A cluster with the shop open in both namespaces, and two pods more."""
    for name in images.IMAGES:
        node_cluster.load(images.build(name))
    node_cluster.kubectl("apply", "-f", str(TOP / "examples/shop/shop.yaml"))
    node_cluster.kubectl("apply", "-f", "-", stdin="---".join((ROOT_SHOP, SHARED_SHOP, HOST_SHOP)))
    for namespace in ("shop", "shop-open"):
        node_cluster.kubectl("wait", "-n", namespace, "--for=condition=Available", "deployment/shop", "--timeout=60s")
    node_cluster.kubectl("wait", "-n", "shop-open", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    yield node_cluster
    node_cluster.kubectl("delete", "namespace", "shop", "shop-open", "node-watch", "--wait=false")


def a_pod(cluster: Cluster, namespace: str) -> str:
    """The name of one pod of the shop's deployment."""
    return cluster.kubectl("get", "pods", "-n", namespace, "-l", "app=shop", "-o", "name").split()[0].split("/")[1]


def config(name: str) -> dict[str, Any]:
    """The spec of the PowerToolConfig of this name."""
    for file in sorted((TOP / "tools").glob("*/powertoolconfig.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            if document["spec"]["name"] == name:
                return document["spec"]
    raise LookupError(name)


def inject(
    cluster: Cluster, tool: str, namespace: str, pod: str, *user: str, env: dict[str, str] | None = None
) -> Outcome:
    """Adds the tool to the pod as the operator would, waits for its end, and reads what it left."""
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}"
    document = json.loads(cluster.kubectl("get", "--raw", path))
    container = tool_container(config(tool), document, list(user), cluster, env or {})
    document["spec"].setdefault("ephemeralContainers", []).append(container)
    cluster.kubectl("replace", "--raw", f"{path}/ephemeralcontainers", "-f", "-", stdin=json.dumps(document))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        statuses = json.loads(cluster.kubectl("get", "--raw", path))["status"].get("ephemeralContainerStatuses", [])
        ended = [
            s["state"]["terminated"] for s in statuses if s["name"] == container["name"] if "terminated" in s["state"]
        ]
        if ended:
            log = cluster.kubectl("logs", "-n", namespace, pod, "-c", container["name"])
            return Outcome(ended[0]["exitCode"], json.loads(ended[0]["message"]), unframe(log), log)
        time.sleep(0.5)
    pytest.fail(f"the tool did not end: {statuses}")


def tool_container(
    spec: dict[str, Any], pod: dict[str, Any], user: list[str], cluster: Cluster, env: dict[str, str]
) -> dict[str, Any]:
    """The ephemeral container of a config, written by hand: the tests of the planner compare theirs with the design."""
    status = next(s for s in pod["status"]["containerStatuses"] if s["name"] == "app")
    identity = {"runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": False}
    if not spec["security"]["runAsRoot"]:
        linux = status["user"]["linux"]
        identity = {"runAsUser": linux["uid"], "runAsGroup": linux["gid"], "runAsNonRoot": True}
    environment = {
        "TOE_RUN": "probe",
        "TOE_TOOL": spec["name"],
        "TOE_NAMESPACE": pod["metadata"]["namespace"],
        "TOE_POD": pod["metadata"]["name"],
        "TOE_CONTAINER": "app",
        "TOE_CONTAINER_ID": status["containerID"].removeprefix("containerd://"),
        "TOE_DURATION": "3s",
        "TOE_WARMUP": "0s",
        "TOE_GRACE": "10s",
        "TOE_NOT_AFTER": (server_time(cluster) + timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "TOE_STOP_SIGNAL": spec["stopSignal"],
        "TOE_LIMITS": json.dumps({"memoryBytes": 256 << 20, "artifactBytes": spec["limits"]["maxArtifactBytes"]}),
        "TOE_MODE": "ephemeral",
        "TOE_SUMMARY_MAX": "1024",
        **env,
    }
    return {
        "name": f"toe-{spec['name']}-{time.monotonic_ns():x}"[:63],
        "image": spec["image"],
        "imagePullPolicy": "IfNotPresent",
        "command": ["/toe-run", "--", *spec["command"], *spec["defaultArgs"], "--user-args--"],
        "args": [word.replace("$", "$$") for word in user],
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "targetContainerName": "app",
        "securityContext": {
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "capabilities": spec["security"]["capabilities"],
            "seccompProfile": {"type": spec["security"]["seccompProfile"]},
            **identity,
        },
    }


def server_time(cluster: Cluster) -> datetime:
    """The clock of the machine that the cluster is on, from the creation of something new."""
    review = json.loads(
        cluster.kubectl(
            "create", "-f", "-", "-o", "json", "--dry-run=server",
            stdin='{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"clock-","namespace":"default"}}',
        )
    )  # fmt: skip
    return datetime.fromisoformat(review["metadata"]["creationTimestamp"])


def unframe(log: str) -> dict[str, bytes]:
    """The files in a log; a broken frame fails the test."""
    files: dict[str, bytes] = {}
    name, content = "", b""
    for line in log.split("\n"):
        kind, _, rest = line.partition(" ")
        if kind == "#toe-file":
            told = json.loads(rest)
            name, content = told["name"], b""
        elif kind == "#toe-data":
            content += base64.b64decode(rest, validate=True)
        elif kind == "#toe-end":
            assert (told["bytes"], told["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
            files[name] = content
    return files


def test_py_spy_needs_no_capability_where_pod_security_is_restricted(shop: Cluster) -> None:
    """A profile of a pod in a restricted namespace, with the target's own identity."""
    got = inject(shop, "py-spy", "shop", a_pod(shop, "shop"), "--rate", "200")
    assert (got.code, got.summary["reason"]) == (0, "Completed"), got
    assert (got.summary["uid"], got.summary["gid"], got.summary["capEff"]) == (10001, 10001, "0" * 16)
    assert (got.summary["noNewPrivs"], got.summary["seccomp"]) == (True, 2)
    profile = got.files["profile.folded"].decode()
    assert "apply_discounts" in profile
    assert "render_catalog" in profile
    assert any(file["name"] == "profile.folded" for file in got.summary["files"])


def test_strace_needs_no_capability_where_pod_security_is_restricted(shop: Cluster) -> None:
    """A trace, stopped at its duration, is a success, and the target lives on."""
    pod = a_pod(shop, "shop")
    got = inject(shop, "strace", "shop", pod, "-e", "trace=%network", "-tt")
    assert (got.code, got.summary["reason"], got.summary["stopped"]) == (0, "Completed", True), got
    assert got.summary["capEff"] == "0" * 16
    assert b"accept4(" in got.files["strace.txt"] or b"recvfrom(" in got.files["strace.txt"]
    assert restarts(shop, "shop", pod) == 0


def test_strace_counts_calls(shop: Cluster) -> None:
    """The summary of calls leaves the pod when strace is stopped."""
    got = inject(shop, "strace", "shop", a_pod(shop, "shop"), "-c", "-S", "calls")
    assert (got.code, got.summary["reason"]) == (0, "Completed"), got
    assert b"% time" in got.files["strace.txt"]


@pytest.mark.parametrize(("tool", "file"), [("py-spy-root", "profile.folded"), ("strace-root", "strace.txt")])
def test_a_root_target_needs_ptrace(shop: Cluster, tool: str, file: str) -> None:
    """SYS_PTRACE and nothing else is effective."""
    got = inject(shop, tool, "shop-open", "root-shop")
    assert (got.code, got.summary["reason"]) == (0, "Completed"), got
    assert (got.summary["uid"], got.summary["capEff"]) == (0, "0000000000080000")
    assert got.files[file]


def test_tcpdump_captures_with_net_raw_and_setgid(shop: Cluster) -> None:
    """A capture by a filter; the packets are those of the shop."""
    got = inject(shop, "tcpdump", "shop-open", a_pod(shop, "shop-open"), "-c", "20", "-n", "tcp", "and", "port", "8080")
    assert (got.code, got.summary["reason"], got.summary["stopped"]) == (0, "Completed", False), got
    assert got.summary["capEff"] == "0000000000002040"
    assert got.files["capture.pcap"][:4] == bytes.fromhex("d4c3b2a1")
    assert b"GET /" in got.files["capture.pcap"]


def test_tcpdump_is_stopped_at_its_duration(shop: Cluster) -> None:
    """Without a count it captures until its time is up."""
    got = inject(shop, "tcpdump", "shop-open", a_pod(shop, "shop-open"), "-s", "96")
    assert (got.code, got.summary["reason"], got.summary["stopped"]) == (0, "Completed", True), got


@pytest.mark.parametrize("pod", ["shared-shop", "host-shop"])
def test_the_target_is_found_among_other_processes(shop: Cluster, pod: str) -> None:
    """Not PID 1 there, and not the other container that runs Python as the same user."""
    got = inject(shop, "py-spy", "shop-open", pod)
    assert (got.code, got.summary["reason"]) == (0, "Completed"), got
    assert b"shop.py" in got.files["profile.folded"]
    assert b"load.py" not in got.files["profile.folded"]


@pytest.mark.parametrize("pod", ["shared-shop", "host-shop"])
def test_no_target_is_better_than_a_wrong_one(shop: Cluster, pod: str) -> None:
    """A container that is not there any more: neither the pause process nor the node's init is taken for it."""
    got = inject(shop, "py-spy", "shop-open", pod, env={"TOE_CONTAINER_ID": "0123456789abcdef" * 4})
    assert (got.code, got.summary["reason"], got.files) == (125, "TargetNotFound", {})


def test_a_run_that_is_over_does_nothing(shop: Cluster) -> None:
    """A container that the kubelet starts late ends at once."""
    got = inject(shop, "py-spy", "shop", a_pod(shop, "shop"), env={"TOE_NOT_AFTER": "2020-01-01T00:00:00Z"})
    assert (got.code, got.summary["reason"], got.files) == (125, "NotAfterPassed", {})


def test_what_does_not_fit_is_refused_whole(shop: Cluster) -> None:
    """No truncated file ever: a trace that is too large ends the tool, and nothing of it is printed."""
    limit = {"TOE_LIMITS": json.dumps({"artifactBytes": 1000})}
    got = inject(shop, "strace", "shop", a_pod(shop, "shop"), env=limit)
    assert (got.code, got.summary["reason"], got.files) == (125, "ArtifactTooLarge", {})
    assert "at most 1000" in got.summary["message"]


def test_toe_run_is_dumpable_for_nobody(shop: Cluster) -> None:
    """The target's own user cannot read the memory or the environment of the supervisor next to it."""
    pod = a_pod(shop, "shop")
    script = (
        "import pathlib\n"
        "for p in pathlib.Path('/proc').glob('[0-9]*'):\n"
        "  try:\n"
        "    if not (p / 'cmdline').read_bytes().startswith(b'/toe-run'): continue\n"
        "    print('seen'); (p / 'environ').read_bytes(); print('read')\n"
        "  except PermissionError: print('refused')\n"
        "  except OSError: pass\n"
    )
    path = f"/api/v1/namespaces/shop/pods/{pod}"
    document = json.loads(shop.kubectl("get", "--raw", path))
    container = tool_container(config("strace"), document, [], shop, {"TOE_DURATION": "8s"})
    document["spec"].setdefault("ephemeralContainers", []).append(container)
    shop.kubectl("replace", "--raw", f"{path}/ephemeralcontainers", "-f", "-", stdin=json.dumps(document))
    for _ in range(20):
        seen = shop.kubectl("exec", "-n", "shop", pod, "-c", "app", "--", "python3", "-c", script).split()
        if seen:
            break
        time.sleep(0.5)
    assert seen == ["seen", "refused"]
    until_ended(shop, "shop", pod)


def until_ended(cluster: Cluster, namespace: str, pod: str) -> None:
    """Waits until no tool is in a pod: a process has one tracer at a time, and the next test wants to be it."""
    for _ in range(60):
        document = json.loads(cluster.kubectl("get", "pod", "-n", namespace, pod, "-o", "json"))
        statuses = document["status"].get("ephemeralContainerStatuses", [])
        if all("terminated" in status["state"] for status in statuses):
            return
        time.sleep(0.5)
    raise AssertionError(f"a tool in {pod} does not end")


def restarts(cluster: Cluster, namespace: str, pod: str) -> int:
    """How often the target was restarted."""
    document = json.loads(cluster.kubectl("get", "pod", "-n", namespace, pod, "-o", "json"))
    return sum(s["restartCount"] for s in document["status"]["containerStatuses"])
