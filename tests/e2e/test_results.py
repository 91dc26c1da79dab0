"""Results leave the pod: kept by the collector, fetched by who may, and tools that end when they are told to."""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from devcluster import Cluster, DevClusterError
from examples.shop.demo import apply, tool_configs
from toe.main import surroundings

pytestmark = [pytest.mark.node, pytest.mark.timeout(420)]

CODE = "from toe.main import kubectl_plugin; kubectl_plugin()"
RUN = "codriverlabs.ai.toe.run/v1alpha1"
SYSTEM = "toe-system"
READER = "powertool-artifacts-reader"


def run(cluster: Cluster, name: str, seconds: int, **output: Any) -> None:
    """Makes a run of strace on the shop's first container."""
    spec = {
        "targets": {"labelSelector": {"matchLabels": {"app": "shop"}}, "container": "app"},
        "tool": {"name": "strace", "duration": f"{seconds}s"},
        "output": {"mode": "collector", **output},
    }
    apply(
        cluster, {"apiVersion": RUN, "kind": "PowerTool", "metadata": {"name": name, "namespace": "shop"}, "spec": spec}
    )


def until(cluster: Cluster, name: str, condition: str, seconds: int = 60) -> dict[str, Any]:
    """Waits for a condition or a phase of a run, and returns the run."""
    words = ("wait", f"--for={condition}", f"pt/{name}", "-n", "shop", f"--timeout={seconds}s")
    cluster.kubectl(*words, seconds=seconds + 10)
    found: dict[str, Any] = json.loads(cluster.kubectl("get", "pt", name, "-n", "shop", "-o", "json"))
    return found


def toe(cluster: Cluster, *words: str) -> subprocess.CompletedProcess[str]:
    """Is ``kubectl toe`` as a person types it."""
    around = surroundings().environment | {"KUBECONFIG": str(cluster.kubeconfig)}
    return subprocess.run([sys.executable, "-c", CODE, *words], env=around, capture_output=True, text=True, timeout=120)


def tool_states(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    """Is what the kubelet says of the run's tool containers."""
    targets = json.loads(cluster.kubectl("get", "pt", name, "-n", "shop", "-o", "json"))["status"]["targets"]
    names = {target["toolContainer"] for target in targets}
    pods = json.loads(cluster.kubectl("get", "pods", "-n", "shop", "-l", "app=shop", "-o", "json"))["items"]
    statuses = [s for pod in pods for s in pod["status"].get("ephemeralContainerStatuses", ())]
    return [status["state"] for status in statuses if status["name"] in names]


def all_over(cluster: Cluster, name: str, seconds: float) -> float:
    """Waits until the kubelet reports every tool of a run as ended; returns how long that took."""
    began = time.monotonic()
    while not all("terminated" in state for state in tool_states(cluster, name)):
        assert time.monotonic() - began < seconds, tool_states(cluster, name)
        time.sleep(0.2)
    return time.monotonic() - began


def test_a_file_is_kept_and_fetched_by_who_may(installed: Cluster, tmp_path: Path) -> None:
    """By the administrator; a person with the role in another namespace is refused, by kubectl and by the CLI."""
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "olga-fetches", "namespace": "shop-open"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": READER},
        "subjects": [{"kind": "User", "name": "olga", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    apply(installed, role)
    run(installed, "kept", 2)
    found = until(installed, "kept", "condition=Completed")
    assert {artifact["name"] for artifact in found["status"]["artifacts"]} >= {"strace.txt"}
    got = toe(installed, "get", "kept", "-n", "shop", "-o", str(tmp_path / "kept"))
    assert got.returncode == 0, got.stderr
    assert "sha256 ok" in got.stdout
    (first, *_) = sorted((tmp_path / "kept").rglob("strace.txt"))
    assert first.read_text()
    table = installed.kubectl("get", "artifacts", "-n", "shop", "-l", "toe.run/run=kept")
    assert "strace.txt" in table
    refused = toe(installed, "get", "kept", "-n", "shop", "--as", "olga", "-o", str(tmp_path / "stolen"))
    assert refused.returncode != 0
    assert not list((tmp_path / "stolen").rglob("*.txt"))


def test_the_files_of_the_collector_s_runs_are_in_no_log(installed: Cluster) -> None:
    """Whoever may read logs reads that there are files, not what is in them."""
    run(installed, "quiet", 2)
    found = until(installed, "quiet", "condition=Completed")
    target = found["status"]["targets"][0]
    log = installed.kubectl("logs", target["pod"], "-n", "shop", "-c", target["toolContainer"])
    assert "#toe-data" not in log


def test_a_canceled_tool_ends_within_seconds(installed: Cluster) -> None:
    """Its lease is not renewed; what it wrote so far is kept. The time is printed, not judged: machines are busy."""
    run(installed, "canceled", 120)
    until(installed, "canceled", "jsonpath={.status.phase}=Running")
    installed.kubectl("patch", "pt", "canceled", "-n", "shop", "--type=merge", "-p", '{"spec":{"cancel":true}}')
    print(f"canceled: every tool ended after {all_over(installed, 'canceled', 30):.1f} s")
    found = until(installed, "canceled", "condition=Finished")
    assert found["status"]["phase"] == "Canceled"


def test_a_suspended_tool_and_a_deleted_run_end_too(installed: Cluster) -> None:
    """The administrator's kill switch, and a user who deletes in place of canceling."""
    run(installed, "suspended", 120)
    until(installed, "suspended", "jsonpath={.status.phase}=Running")
    switch = ("patch", "ptc", "strace", "-n", SYSTEM, "--type=merge", "-p")
    installed.kubectl(*switch, '{"spec":{"suspended":true}}')
    try:
        print(f"suspended: every tool ended after {all_over(installed, 'suspended', 30):.1f} s")
    finally:
        installed.kubectl(*switch, '{"spec":{"suspended":false}}')
    found = until(installed, "suspended", "condition=Finished")
    assert {target["reason"] for target in found["status"]["targets"]} == {"ToolSuspended"}
    installed.kubectl("wait", "--for=condition=Ready", "ptc", "--all", "-n", SYSTEM, "--timeout=30s")

    run(installed, "deleted", 120)
    found = until(installed, "deleted", "jsonpath={.status.phase}=Running")
    names = {target["toolContainer"] for target in found["status"]["targets"]}
    installed.kubectl("delete", "pt", "deleted", "-n", "shop", "--timeout=30s", seconds=40)
    began = time.monotonic()
    while True:
        pods = json.loads(installed.kubectl("get", "pods", "-n", "shop", "-l", "app=shop", "-o", "json"))["items"]
        statuses = [
            s for pod in pods for s in pod["status"].get("ephemeralContainerStatuses", ()) if s["name"] in names
        ]
        if statuses and all("terminated" in status["state"] for status in statuses):
            break
        assert time.monotonic() - began < 30, statuses
        time.sleep(0.2)
    print(f"deleted: every tool ended after {time.monotonic() - began:.1f} s")


def test_a_stolen_ticket_is_good_for_nothing(installed: Cluster) -> None:
    """Read out of the pod's spec, and shown by another pod: refused, and the collector's log says why."""
    run(installed, "stolen", 20)
    found = until(installed, "stolen", "jsonpath={.status.phase}=Running")
    target = found["status"]["targets"][0]
    pod = json.loads(installed.kubectl("get", "pod", target["pod"], "-n", "shop", "-o", "json"))
    (tool,) = [c for c in pod["spec"]["ephemeralContainers"] if c["name"] == target["toolContainer"]]
    ticket = next(variable["value"] for variable in tool["env"] if variable["name"] == "TOE_TICKET")
    others = json.loads(installed.kubectl("get", "pods", "-n", "shop-open", "-l", "app=shop", "-o", "json"))["items"]
    thief = others[0]["metadata"]["name"]
    code = (
        "import ssl,sys,urllib.request as u,urllib.error as e\n"
        "c=ssl._create_unverified_context()\n"
        "r=u.Request(sys.argv[1],data=b'{\"session\":\"'+b'a'*64+b'\"}',method='POST',"
        "headers={'Authorization':'Bearer '+sys.argv[2],'Content-Type':'application/json'})\n"
        "try: print(u.urlopen(r,context=c).status)\n"
        "except e.HTTPError as x: print(x.code, x.read().decode())\n"
    )
    url = "https://toe-collector.toe-system.svc/v1/claim"
    said = installed.kubectl("exec", thief, "-n", "shop-open", "-c", "app", "--", "python3", "-c", code, url, ticket)
    assert said.startswith("409"), said
    assert "TicketClaimed" in said
    log = installed.kubectl("logs", "-l", "app.kubernetes.io/name=toe-collector", "--tail=-1", "-n", SYSTEM)
    assert "TicketClaimed" in log
    assert ticket not in log
    assert ticket.rpartition(".")[2] not in log
    reading = installed.kubectl(
        *(
            "exec",
            thief,
            "-n",
            "shop-open",
            "-c",
            "app",
            "--",
            "python3",
            "-c",
            code,
            url.replace("claim", "lease"),
            ticket,
        )
    )
    assert reading.startswith("401"), reading
    until(installed, "stolen", "condition=Completed")


def test_with_everything_dead_a_tool_ends_by_its_own_deadline(installed: Cluster) -> None:
    """Controller and collector are gone: it ends when its lease or its duration does, and the run says so later."""
    run(installed, "orphaned", 15)
    until(installed, "orphaned", "jsonpath={.status.phase}=Running")
    parts = ("deployment/toe-controller", "statefulset/toe-collector")
    installed.kubectl("scale", *parts, "-n", SYSTEM, "--replicas=0")
    try:
        all_over(installed, "orphaned", 90)
    finally:
        installed.kubectl("scale", *parts, "-n", SYSTEM, "--replicas=2")
        for name in parts:
            installed.kubectl("rollout", "status", name, "-n", SYSTEM, "--timeout=90s", seconds=100)
    found = until(installed, "orphaned", "condition=Finished", 90)
    assert found["status"]["phase"] == "Failed"
    assert {target["reason"] for target in found["status"]["targets"]} <= {"UploadFailed", "LeaseLost"}


def test_no_secret_is_where_people_look(installed: Cluster) -> None:
    """No ticket, session or key of any run so far in a log, an event or a status (I-31)."""
    run(installed, "searched", 2)
    until(installed, "searched", "condition=Completed")
    pods = json.loads(installed.kubectl("get", "pods", "-A", "-o", "json"))["items"]
    tickets = {
        variable["value"]
        for pod in pods
        for container in pod["spec"].get("ephemeralContainers", ())
        for variable in container.get("env", ())
        if variable["name"] == "TOE_TICKET"
    }
    assert tickets
    places = [
        installed.kubectl("get", "events", "-A", "-o", "json"),
        installed.kubectl("get", "pt,ptc", "-A", "-o", "json"),
        installed.kubectl("get", "artifacts", "-A", "-o", "json"),
        json.dumps([pod["status"] for pod in pods]),
    ]
    for pod in pods:
        if pod["metadata"]["namespace"] == SYSTEM:
            places.append(installed.kubectl("logs", pod["metadata"]["name"], "-n", SYSTEM))
    secrets = {ticket.rpartition(".")[2] for ticket in tickets}
    for place in places:
        assert not any(secret in place for secret in secrets)
        assert not re.search(r"PRIVATE KEY", place)


def test_files_go_to_the_claim_that_the_pod_mounts(installed: Cluster) -> None:
    """Through the fence, by the claim behind the volume, into a directory of the run's and the pod's own."""
    place = installed.kubeconfig.parent / "results"
    place.mkdir(exist_ok=True)
    os.chown(place, 10001, 10001)
    common = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    claim = {"name": "results", "namespace": "shop"}
    size = {"storage": "1Gi"}
    (config, *_) = tool_configs("strace")
    config["metadata"]["name"] = config["spec"]["name"] = "strace-claim"
    config["spec"]["output"] = {"modes": ["pvc"], "volumes": [{"claimName": "results", "path": "/results"}]}
    shop = json.loads(installed.kubectl("get", "deployment", "shop", "-n", "shop", "-o", "json"))["spec"]["template"]
    pod = {**shop["spec"], "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "results"}}]}
    pod["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    apply(
        installed,
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "results"},
            "spec": {**common, "capacity": size, "claimRef": claim, "hostPath": {"path": str(place)}},
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": claim,
            "spec": {**common, "volumeName": "results", "resources": {"requests": size}},
        },
        config,
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "claimed", "namespace": "shop", "labels": {"app": "claimed"}},
            "spec": pod,
        },
    )
    installed.kubectl("wait", "--for=condition=Ready", "pod/claimed", "-n", "shop", "--timeout=60s", seconds=70)
    installed.kubectl("wait", "--for=condition=Ready", "ptc/strace-claim", "-n", SYSTEM, "--timeout=30s")
    for name, claim_name in (("to-a-claim", "results"), ("to-another", "other")):
        spec = {
            "targets": {"labelSelector": {"matchLabels": {"app": "claimed"}}},
            "tool": {"name": "strace-claim", "duration": "2s"},
            "output": {"mode": "pvc", "pvc": {"claimName": claim_name, "path": "web"}},
        }
        metadata = {"name": name, "namespace": "shop"}
        if name == "to-another":
            with pytest.raises(DevClusterError, match=r"may not write to the claim other; its config lists results"):
                apply(installed, {"apiVersion": RUN, "kind": "PowerTool", "metadata": metadata, "spec": spec})
            continue
        apply(installed, {"apiVersion": RUN, "kind": "PowerTool", "metadata": metadata, "spec": spec})
    found = until(installed, "to-a-claim", "condition=Finished")
    assert found["status"]["phase"] == "Completed", found["status"]["lastError"]
    kept = {artifact["name"]: artifact["sha256"] for artifact in found["status"]["artifacts"]}
    file = place / "web" / "to-a-claim" / "claimed" / "strace.txt"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == kept["strace.txt"]
    assert file.stat().st_mode & 0o777 == 0o600
