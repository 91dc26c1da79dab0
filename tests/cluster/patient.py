"""An API server with everything of toe's installed, as a patient of ``kubectl toe doctor`` and as what users meet."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import yaml

from charts import rights
from devcluster import Cluster
from tests.builders import config_manifest, judged
from tests.cluster.fence_tools import DIGEST
from tests.cluster.fenced import MERGE, SETTINGS, STRATEGIC, SYSTEM, Fenced, Raw, path_of, until
from tests.cluster.hooked import certificate as _certificate
from tests.cluster.hooked import configuration as _configuration
from tests.cluster.hooked import free_port as _free_port
from toe.api.codec import decode
from toe.api.powertoolconfig import PowerToolConfig
from toe.main import surroundings
from toe.plan.catalog import compile_catalog

CATALOG = f"/apis/codriverlabs.ai.toe.run/v1alpha1/namespaces/{SYSTEM}/powertoolcatalogs/catalog"


def a_config(name: str, **spec: Any) -> Raw:
    metadata = {"name": name, "namespace": SYSTEM, "uid": None, "generation": None}
    return config_manifest(metadata, name=name, image=DIGEST.format(name), **spec)


LABELS = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
LABELLED: Raw = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM, "labels": LABELS}}
CONFIGS = (a_config("peek"), a_config("local", allowedNamespaces=["fence-plain"]))


def a_pod(namespace: str, name: str, *tools: str, **spec: Any) -> Raw:
    container = {"name": "app", "image": "shop:1"}
    whole = {"nodeName": "node-none", "containers": [container], "automountServiceAccountToken": False}
    metadata = {"name": name, "namespace": namespace, "labels": {"app": "web"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": whole | spec}


def a_node(image: str) -> Raw:
    return {"status": {"nodeInfo": {"osImage": image}}}


class Patient:
    """Is a cluster with everything installed, and a doctor in front of it."""

    def __init__(self, fenced: Fenced) -> None:
        self.fenced, self.server = fenced, fenced.server
        self.port = 0
        """Where its webhook listens, on every address of this host."""
        self._as: dict[str, str] = {}

    def who(self, line: str) -> str:
        """Returns as whom a line was tried, in the examination before."""
        return self._as[line]

    def examined(self, *more: str) -> tuple[int, dict[str, str], dict[str, str]]:
        """Runs the doctor: exit status, outcome by line, and answer by line."""
        around = surroundings().environment | {"KUBECONFIG": str(self.fenced.cluster.kubeconfig)}
        words = ("doctor", "--profile", "standard", "-o", "json", *more)
        code = "from toe.main import kubectl_plugin; kubectl_plugin()"
        ran = subprocess.run([sys.executable, "-c", code, *words], env=around, capture_output=True, text=True)
        assert ran.stdout, ran.stderr
        found = json.loads(ran.stdout)["lines"]
        outcomes = {line["name"]: line["outcome"] for line in found}
        self._as = {line["name"]: line["as"] for line in found}
        return ran.returncode, outcomes, {line["name"]: line["answer"] for line in found}

    def planted(self, lines: list[str], plant: Callable[[], Any], mend: Callable[[], Any]) -> dict[str, str]:
        """Plants a fault, waits until exactly these lines fail, and mends it; returns what the sheet said."""
        plant()
        end = time.monotonic() + 15
        try:
            while True:
                status, outcomes, answers = self.examined()
                failed = [name for name, outcome in outcomes.items() if outcome == "FAIL"]
                if failed == lines and status == 1:
                    return {name: answers[name] for name in outcomes if outcomes[name] != "PASS"}
                assert time.monotonic() < end, {name: answers[name] for name in failed}
        finally:
            mend()
            self.recover(20)

    def recover(self, seconds: float, *, but: tuple[str, ...] = ()) -> dict[str, str]:
        """Waits until every line passes but some that cannot, and returns what those say."""
        end = time.monotonic() + seconds
        while True:
            _, outcomes, answers = self.examined()
            sick = {name: answers[name] for name, outcome in outcomes.items() if outcome != "PASS"}
            if set(sick) == set(but):
                return sick
            assert time.monotonic() < end, sick

    def running(self, pod: Raw, *tools: str) -> None:
        """Makes a pod that a kubelet reports as running, with containers that others added."""
        self.server.make(pod)
        status = {"name": "app", "image": "x", "imageID": "x", "ready": True, "restartCount": 0}
        status |= {
            "state": {"running": {"startedAt": "2026-03-01T11:00:00Z"}},
            "user": {"linux": {"uid": 1000, "gid": 1000}},
        }  # type: ignore[dict-item]
        body = {"status": {"phase": "Running", "containerStatuses": [status]}}
        answer = self.server.send("PATCH", f"{path_of(pod)}/status", body, STRATEGIC)
        assert answer.is_accepted, answer
        added = [{"name": tool, "image": "x"} for tool in tools]
        if added:
            body = {"spec": {"ephemeralContainers": added}}
            answer = self.server.send("PATCH", f"{path_of(pod)}/ephemeralcontainers", body, STRATEGIC)
            assert answer.is_accepted, answer


@contextmanager
def installed(cluster: Cluster, place: Path, raws: Sequence[Raw] = CONFIGS) -> Iterator[Patient]:
    """The fence, the operator's accounts and roles, its webhook as its own account, and pods of every kind."""
    configs = [config for config in map(decode, raws) if isinstance(config, PowerToolConfig)]
    catalog = msgspec.to_builtins({"spec": compile_catalog(judged(*configs))})
    fenced = Fenced(cluster, catalog, stamped=True)
    try:
        fenced.up()
        found = Patient(fenced)
        volume = {"volumes": [{"name": "scratch", "emptyDir": {}}]}
        found.running(a_pod("fence-open", "web", **volume))
        found.running(a_pod("fence-open", "node", hostPID=True))
        found.running(a_pod("fence-open", "full"), *(f"toe-{number}" for number in range(16)))
        found.running(a_pod("kube-system", "proxy"))
        for obj in (
            LABELLED,
            *rights.everything(SETTINGS),
            *raws,
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-none"}},
        ):
            fenced.server.make(obj)
        fenced.server.send("PATCH", "/api/v1/nodes/node-none/status", a_node("Debian GNU/Linux 12"), MERGE)
        with _webhook(cluster, place, fenced) as found.port:
            yield found
    finally:
        for obj in (*rights.everything(SETTINGS), *raws):
            fenced.server.remove(obj)
        fenced.server.send("DELETE", "/api/v1/nodes/node-none")
        fenced.down()


@contextmanager
def _webhook(cluster: Cluster, place: Path, fenced: Fenced) -> Iterator[int]:
    """Serves as toe's own account, without a pod: the fence keeps it from writing the catalog, so tests may."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] |= {
        "as": f"system:serviceaccount:{SYSTEM}:toe-webhook",
        "as-groups": ["system:serviceaccounts", f"system:serviceaccounts:{SYSTEM}", "system:authenticated"],
    }
    kubeconfig = place / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    certificate, key = _certificate(place, cluster.host_address)
    port = _free_port()
    words = (
        "--kubeconfig",
        str(kubeconfig),
        "--port",
        str(port),
        "--tls-cert",
        str(certificate),
        "--tls-key",
        str(key),
    )
    with subprocess.Popen([sys.executable, "-m", "toe.main", "webhook", *words], stderr=subprocess.DEVNULL) as process:
        hooks = _configuration(cluster, port, certificate.read_bytes())
        try:
            until(lambda: _listens(cluster.host_address, port), "the webhook listens", 40)
            fenced.server.make(hooks)
            yield port
        finally:
            fenced.server.remove(hooks)
            process.terminate()


def _listens(address: str, port: int) -> bool:
    with socket.socket() as found:
        return found.connect_ex((address, port)) == 0
