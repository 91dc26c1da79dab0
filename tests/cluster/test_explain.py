"""``kubectl toe explain`` and ``rbac`` on a real API server with everything installed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.builders import powertool_manifest
from tests.cluster.fenced import DEVELOPER, Caller, Raw, path_of
from tests.cluster.test_doctor import Patient, patient  # noqa: F401 a fixture
from toe.main import surroundings

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

CODE = "from toe.main import kubectl_plugin; kubectl_plugin()"


def _toe(patient: Patient, *words: str) -> tuple[int, str, str]:  # noqa: F811
    around = surroundings().environment | {"KUBECONFIG": str(patient.fenced.cluster.kubeconfig)}
    ran = subprocess.run([sys.executable, "-c", CODE, *words], env=around, capture_output=True, text=True)
    return ran.returncode, ran.stdout, ran.stderr


def _manifest(place: Path, tool: str, namespace: str = "fence-open") -> str:
    none = {"uid": None, "generation": None, "creationTimestamp": None}
    raw = powertool_manifest({"name": "mine", "namespace": namespace, **none}, tool={"name": tool, "duration": "10s"})
    file = place / "run.yaml"
    file.write_text(yaml.safe_dump(raw))
    return str(file)


def _stated(value: Any) -> Any:
    """Leaves out empty lists, which the API server drops."""
    if isinstance(value, dict):
        return {key: _stated(each) for key, each in value.items() if each != []}
    return value


def _layers(explained: Raw, pod: str) -> dict[str, Raw]:
    (found,) = (entry for entry in explained["pods"] if entry["pod"] == pod)
    return {layer["layer"]: layer for layer in found["layers"]}


def test_an_administrator_reads_the_servers_own_answers(patient: Patient, tmp_path: Path) -> None:  # noqa: F811
    """The dry run as the operator passes the fence; the stamp is the caller's."""
    _, out, err = _toe(patient, "explain", "-f", _manifest(tmp_path, "peek"), "--profile", "standard", "-o", "json")
    assert out, err
    (explained,) = json.loads(out)
    first = {layer["layer"]: layer for layer in explained["layers"]}
    assert (first["creation"]["verdict"], first["stamp"]["says"]) == ("passes", "asked by admin")
    whole = _layers(explained, "web")
    said = {name: (layer["verdict"], layer["asked"]) for name, layer in whole.items()}
    assert said == dict.fromkeys(("target", "Pod Security", "fence", "API server"), ("passes", True))
    assert _layers(explained, "node")["target"]["verdict"] == "refuses"


def test_the_fence_s_own_words_are_shown(patient: Patient, tmp_path: Path) -> None:  # noqa: F811
    """What the catalog says is asked, not predicted."""
    path = "/apis/codriverlabs.ai.toe.run/v1alpha1/namespaces/toe-system/powertoolcatalogs/catalog"
    catalog = patient.server.send("GET", path).body
    changed = json.loads(json.dumps(catalog["spec"]))
    for tool in changed["tools"]:
        tool["image"] = "registry.example/other:1"
    merge = "application/merge-patch+json"
    patient.server.send("PATCH", path, {"spec": changed}, merge)
    try:
        _, out, _ = _toe(patient, "explain", "-f", _manifest(tmp_path, "peek"), "--profile", "standard", "-o", "json")
        fence = _layers(json.loads(out)[0], "web")["fence"]
        assert (fence["verdict"], fence["asked"]) == ("refuses", True)
        assert "toe-fence-catalog: toe fence: the tool must keep the image" in fence["says"]
    finally:
        patient.server.send("PATCH", path, {"spec": catalog["spec"]}, merge)


def test_a_user_gets_predictions_and_the_way_to_the_right(patient: Patient, tmp_path: Path) -> None:  # noqa: F811
    """Who may read pods and tools but neither create runs nor act as the operator."""
    _, out, err = _toe(
        *(patient, "explain", "-f", _manifest(tmp_path, "peek"), "--profile", "standard", "-o", "json"),
        *("--as", "ann", "--as-group", "readers"),
    )
    assert not out
    assert "ann may not list powertoolconfigs" in err
    _, out, err = _toe(
        *(patient, "explain", "-f", _manifest(tmp_path, "peek"), "--profile", "standard", "-o", "json"),
        *("--as", "dev", "--as-group", DEVELOPER.groups[0]),
    )
    layers = _layers(json.loads(out)[0], "web")
    assert {layers[name]["asked"] for name in ("fence", "Pod Security")} == {False}
    assert {layers[name]["verdict"] for name in ("fence", "Pod Security")} == {"passes"}


def test_the_command_by_hand_makes_the_same_container(patient: Patient, tmp_path: Path) -> None:  # noqa: F811
    """kubectl's own debug, with everything that matters as toe would have it."""
    _, out, _ = _toe(patient, "explain", "-f", _manifest(tmp_path, "peek"), "--profile", "standard", "-o", "json")
    (found,) = (entry for entry in json.loads(out)[0]["pods"] if entry["pod"] == "web")
    cluster = patient.fenced.cluster
    around = surroundings().environment | {"KUBECONFIG": str(cluster.kubeconfig)}
    line = found["kubectlDebug"].replace("kubectl", str(cluster.kubectl_program()), 1)
    ran = subprocess.run(["bash", "-c", line], env=around, capture_output=True, text=True, timeout=60)
    added = patient.server.send("GET", "/api/v1/namespaces/fence-open/pods/web").body["spec"]["ephemeralContainers"]
    wanted = found["ephemeralContainer"]
    (mine,) = (container for container in added if container["name"].startswith("debug-peek-"))
    for field in ("image", "securityContext", "command", "targetContainerName"):
        assert _stated(mine[field]) == _stated(wanted[field]), (field, ran.stderr)


def test_what_rbac_prints_gives_the_right(patient: Patient) -> None:  # noqa: F811
    """Applied as it is printed, it is enough to create a run, and is then left out."""
    words = ("rbac", "peek", "--user", "ann@example.com", "-n", "fence-open", "--profile", "standard")
    status, out, _ = _toe(patient, *words)
    assert status == 0
    objects = [document for document in yaml.safe_load_all(out) if document]
    ann = Caller("ann@example.com", ())
    run = powertool_manifest({"name": "hers", "namespace": "fence-open", "uid": None}, tool={"name": "peek"})
    path = f"{path_of(run).rpartition('/')[0]}?dryRun=All"
    try:
        assert patient.server.send("POST", path, run, by=ann).status == 403
        for obj in objects:
            patient.server.make(obj)
        answer = patient.server.send("POST", path, run, by=ann)
        assert answer.is_accepted, answer
        status, out, err = _toe(patient, *words)
        assert (status, out) == (0, "")
        assert "there is nothing to apply" in err
    finally:
        for obj in objects:
            patient.server.remove(obj)
