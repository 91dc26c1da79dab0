"""``kubectl toe doctor`` on a real API server with everything installed, and with each of its findings planted."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from charts.operator import accounts
from devcluster import Cluster
from tests.builders import config_manifest, judged, merged
from tests.cluster.fence_tools import DIGEST
from tests.cluster.fenced import MERGE, SETTINGS, STRATEGIC, SYSTEM, Caller, Fenced, Raw, grant, path_of, until
from tests.cluster.test_webhook import _certificate, _configuration, _free_port
from toe.api.codec import decode
from toe.api.fence.deletion import NAMESPACE_CONTROLLER
from toe.api.powertoolconfig import PowerToolConfig
from toe.main import now, surroundings
from toe.plan.catalog import compile_catalog

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

LEVEL = "pod-security.kubernetes.io/enforce"
CATALOG = f"/apis/codriverlabs.ai.toe.run/v1alpha1/namespaces/{SYSTEM}/powertoolcatalogs/catalog"


def _config(name: str, **spec: Any) -> Raw:
    metadata = {"name": name, "namespace": SYSTEM, "uid": None, "generation": None}
    return config_manifest(metadata, name=name, image=DIGEST.format(name), **spec)


CONFIGS = (_config("peek"), _config("local", allowedNamespaces=["fence-plain"]))


def _pod(namespace: str, name: str, *tools: str, **spec: Any) -> Raw:
    container = {"name": "app", "image": "shop:1"}
    whole = {"nodeName": "node-none", "containers": [container], "automountServiceAccountToken": False}
    metadata = {"name": name, "namespace": namespace, "labels": {"app": "web"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": whole | spec}


def _node(image: str) -> Raw:
    return {"status": {"nodeInfo": {"osImage": image}}}


class Patient:
    """Is a cluster with everything installed, and a doctor in front of it."""

    def __init__(self, fenced: Fenced) -> None:
        self.fenced, self.server = fenced, fenced.server

    def examined(self) -> tuple[int, dict[str, str], dict[str, str]]:
        """Runs the doctor: exit status, outcome by line, and answer by line."""
        around = surroundings().environment | {"KUBECONFIG": str(self.fenced.cluster.kubeconfig)}
        words = ("doctor", "--profile", "standard", "-o", "json")
        code = "from toe.main import kubectl_plugin; kubectl_plugin()"
        ran = subprocess.run([sys.executable, "-c", code, *words], env=around, capture_output=True, text=True)
        assert ran.stdout, ran.stderr
        found = json.loads(ran.stdout)["lines"]
        outcomes = {line["name"]: line["outcome"] for line in found}
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
            until(lambda: self.examined()[0] == 0, "it is well again")

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


@pytest.fixture(scope="module")
def patient(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    """The fence, the operator's accounts and roles, its webhook as its own account, and pods of every kind."""
    configs = [config for config in map(decode, CONFIGS) if isinstance(config, PowerToolConfig)]
    catalog = msgspec.to_builtins({"spec": compile_catalog(judged(*configs))})
    fenced = Fenced(control_plane, catalog, stamped=True)
    place = tmp_path_factory.mktemp("webhook")
    try:
        fenced.up()
        found = Patient(fenced)
        volume = {"volumes": [{"name": "scratch", "emptyDir": {}}]}
        found.running(_pod("fence-open", "web", **volume))
        found.running(_pod("fence-open", "node", hostPID=True))
        found.running(_pod("fence-open", "full"), *(f"toe-{number}" for number in range(16)))
        found.running(_pod("kube-system", "proxy"))
        for obj in (
            *accounts(SETTINGS),
            *CONFIGS,
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-none"}},
        ):
            fenced.server.make(obj)
        fenced.server.send("PATCH", "/api/v1/nodes/node-none/status", _node("Debian GNU/Linux 12"), MERGE)
        with _webhook(control_plane, place, fenced):
            with suppress(AssertionError):
                until(lambda: found.examined()[0] == 0, "the patient is well", 20)
            yield found
    finally:
        for obj in (*accounts(SETTINGS)[1:], *CONFIGS):
            fenced.server.remove(obj)
        fenced.server.send("DELETE", "/api/v1/nodes/node-none")
        fenced.down()


@contextmanager
def _webhook(cluster: Cluster, place: Path, fenced: Fenced) -> Iterator[None]:
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
            fenced.server.make(hooks)
            yield
        finally:
            fenced.server.remove(hooks)
            process.terminate()


def test_a_healthy_cluster_passes_every_line_in_time(patient: Patient) -> None:
    """All pass, none is left untried, in less than 20 seconds."""
    began = time.monotonic()
    status, outcomes, answers = patient.examined()
    assert {name: answers[name] for name, outcome in outcomes.items() if outcome != "PASS"} == {}
    assert status == 0
    assert time.monotonic() - began < 20


def _without(*fragments: str) -> Callable[[Raw], None]:
    """Returns what makes every rule of a policy pass whose message has one of these words; without words, all."""

    def weaken(policy: Raw) -> None:
        found = [
            rule
            for rule in policy["spec"]["validations"]
            if not fragments or any(fragment in rule["message"] for fragment in fragments)
        ]
        assert found
        for rule in found:
            rule["expression"] = "true"

    return weaken


NO_TOOL = "no such tool"
WEAKENED: dict[str, tuple[str, Callable[[Raw], None]]] = {
    "foreign image": ("catalog", _without("use its image")),
    "foreign command": ("catalog", _without("keep its command")),
    "foreign argument": ("catalog", _without("accepts only the arguments")),
    "extra capability": ("catalog", _without("exactly the capabilities")),
    "privileged": ("catalog", _without("state privileged")),
    "host PID": ("catalog", _without("with hostPID")),
    "envFrom a Secret": ("catalog", _without("only the fields")),
    "mounts": ("catalog", _without("only the claims")),
    "two containers": ("catalog", _without("in a request", NO_TOOL)),
    "too many containers": ("catalog", _without("in its life")),
    "foreign name": ("catalog", _without("is named", NO_TOOL)),
    "foreign namespace": ("catalog", _without("not allowed in this namespace")),
    "a tool's name": ("names", _without()),
    "uncovered namespace": ("uncovered", _without()),
    "webhook injects": ("injector", _without()),
    "unbound token": ("token", _without()),
    "minted token": ("mint", _without()),
    "forged status": ("writers", _without("status is written")),
    "forged catalog": ("writers", _without("writes the catalog")),
    "exec into a tool": ("exec", _without()),
    "relabelled namespace": ("labels", _without()),
    "deleted catalog": ("deletion", _without()),
}
"""What is taken out of which policy so that one line fails."""


@pytest.mark.parametrize("line", WEAKENED)
def test_what_a_policy_no_longer_refuses_fails_its_own_line(patient: Patient, line: str) -> None:
    """And no other line."""
    name, weaken = WEAKENED[line]
    policy = next(o for o in patient.fenced.objects if path_of(o).endswith(f"policies/toe-fence-{name}"))
    weak = json.loads(json.dumps(policy))
    weaken(weak)
    patient.planted([line], lambda: patient.server.make(weak), lambda: patient.server.make(policy))
