"""The CustomResourceDefinitions against a real API server: what it accepts, what it refuses, and in which words."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import Cluster
from tests.builders import Raw, a_pod, a_powertool, a_snapshot, merged
from tests.cluster.manifests import a_run, a_tool, manifests, same_fields
from tests.cluster.raw_api import Answer, RawApi
from toe.api.codec import problems_of, read_documents, to_yaml
from toe.api.crd import KINDS, custom_resource_definition
from toe.api.meta import API_VERSION, GROUP
from toe.api.powertool import SECURITY_FIELDS
from toe.plan.actions import WriteStatus
from toe.plan.planner import plan

pytestmark = pytest.mark.cluster

NAMESPACE = "toe-schema"
HERE = Path(__file__).parents[1] / "manifests"
CRDS = Path(__file__).parents[2] / "charts" / "toe" / "crds"
VALIDATIONS = ("Ignore", "Warn", "Strict")


def _without_stamp(api: RawApi) -> None:
    """Takes away the policy that other tests install: here the schema alone is asked."""
    for plural in ("mutatingadmissionpolicybindings", "mutatingadmissionpolicies"):
        api.send("DELETE", f"/apis/admissionregistration.k8s.io/v1/{plural}/toe-fence-requester")
    time.sleep(2)  # a policy that is gone is asked for a moment longer


@pytest.fixture(scope="module")
def api(control_plane: Cluster) -> Iterator[RawApi]:
    """An API server that serves both kinds, from the files that are installed."""
    with closing(RawApi(control_plane.kubeconfig)) as api:
        for file in sorted(CRDS.glob("*.yaml")):
            definition = yaml.safe_load(file.read_text())
            name = definition["metadata"]["name"]
            path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}?fieldManager=schema-test&force=true"
            answer = api.send("PATCH", path, definition, "application/apply-patch+yaml")
            assert answer.is_accepted, answer
        for namespace in (NAMESPACE, "toe-system", "production", "default"):
            new = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
            api.send("POST", "/api/v1/namespaces", new)
        _without_stamp(api)
        deadline = time.monotonic() + 20
        while not all(api.send("GET", f"/apis/{API_VERSION}/{kind.lower()}s").is_accepted for kind in KINDS):
            assert time.monotonic() < deadline, "the kinds are not served"
            time.sleep(0.1)
        yield api


def path_of(manifest: Raw, name: str = "") -> str:
    """Returns where objects of the manifest's kind live."""
    place = f"/apis/{API_VERSION}/namespaces/{manifest['metadata']['namespace']}/{manifest['kind'].lower()}s"
    return f"{place}/{name}" if name else place


def tried(api: RawApi, manifest: Raw, validation: str = "Strict") -> Answer:
    """Asks the server what it thinks of a manifest; nothing is stored."""
    unnamed = merged(manifest, {"metadata": {"name": None, "generateName": "tried-"}})
    return api.send("POST", f"{path_of(manifest)}?dryRun=All&fieldValidation={validation}", unnamed)


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_definitions_are_accepted_as_structural(api: RawApi, kind: str) -> None:
    """The server accepts schemas and CEL rules, their cost included, and has nothing to complain about them."""
    name = custom_resource_definition(kind)["metadata"]["name"]
    stored = api.send("GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}").body
    conditions = {condition["type"]: condition["status"] for condition in stored["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"
    assert stored["spec"]["group"] == GROUP


def test_the_offline_verdict_is_the_servers(api: RawApi) -> None:
    """For every manifest of the table both verdicts are the same, and so is the field they name."""
    differences = []
    for name, manifest in manifests():
        answer, problems = tried(api, manifest), problems_of(manifest)
        if answer.is_accepted != (not problems) or not same_fields(
            answer.message, answer.causes, [problem.path for problem in problems]
        ):
            differences.append(f"{name}: {answer}; offline: {[str(problem) for problem in problems]}")
    assert not differences, "\n".join(differences)


def test_the_table_is_large_and_has_both_kinds_of_manifests() -> None:
    """At least 150 manifests, good ones and bad ones, each with a name of its own."""
    names = [name for name, _ in manifests()]
    good = sum(not problems_of(manifest) for _, manifest in manifests())
    assert len(names) == len(set(names)) >= 150
    assert good >= 50
    assert len(names) - good >= 100


@pytest.mark.parametrize("validation", VALIDATIONS)
@pytest.mark.parametrize("field", SECURITY_FIELDS)
def test_a_user_sets_no_security(api: RawApi, field: str, validation: str) -> None:
    """Pruning cannot hide a security field: it is refused by name under every kind of field validation."""
    for value in _tries(field):
        answer = tried(api, a_run(**{field: value}), validation)
        assert answer.status == 422, answer
        message = f"{field} is the administrator's: it is set in PowerToolConfig only"
        assert any(found == f"spec.{field}" and message in text for found, text in answer.causes), answer


def _tries(field: str) -> list[Any]:
    match field:
        case "command":
            return [["sh"], []]
        case "env" | "volumes":
            return [[{"name": "x"}], []]
        case "privileged" | "hostPID":
            return [True, False]
        case "image" | "serviceAccountName" | "podSpecPatch":
            return ["x", ""]
        case _:
            return [{"privileged": True}, {}]


@pytest.mark.parametrize("validation", VALIDATIONS)
def test_a_security_field_of_another_type_is_refused_too(api: RawApi, validation: str) -> None:
    """There is no type of value with which a security field comes through."""
    for field in SECURITY_FIELDS:
        for value in (1.5, "x", True, ["x"], {"x": 1}):
            answer = tried(api, a_run(**{field: value}), validation)
            assert answer.status in (400, 422), (field, value, answer)
            assert f"spec.{field}" in answer.message, (field, value, answer)


def test_unknown_fields_are_refused_strictly_and_pruned_otherwise(api: RawApi) -> None:
    """What nobody declared is refused by kubectl's default, and never stored."""
    manifest = a_run(hostNetwork=True, tool={"sudo": True})
    assert tried(api, manifest, "Strict").status == 400
    for validation in ("Ignore", "Warn"):
        answer = tried(api, manifest, validation)
        assert answer.is_accepted
        assert "hostNetwork" not in answer.body["spec"]
        assert "sudo" not in answer.body["spec"]["tool"]


FULL: Raw = {
    "targets": {
        "labelSelector": {
            "matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "tier", "operator": "In", "values": ["front"]}],
        },
        "container": "app",
    },
    "tool": {"name": "aperf", "duration": "30s", "args": ["-c", "5"], "warmup": "5s", "maxCPUPercent": 40},
    "output": {"mode": "ephemeral"},
}
CHANGES: dict[str, Raw] = {
    "a label": {"targets": {"labelSelector": {"matchLabels": {"app": "db"}}}},
    "another label": {"targets": {"labelSelector": {"matchLabels": {"more": "x"}}}},
    "no expressions": {"targets": {"labelSelector": {"matchExpressions": None}}},
    "another container": {"targets": {"container": "db"}},
    "no container": {"targets": {"container": None}},
    "another tool": {"tool": {"name": "other"}},
    "another duration": {"tool": {"duration": "31s"}},
    "another argument": {"tool": {"args": ["-c", "6"]}},
    "no arguments": {"tool": {"args": None}},
    "another warmup": {"tool": {"warmup": "6s"}},
    "no warmup": {"tool": {"warmup": None}},
    "another limit": {"tool": {"maxCPUPercent": 41}},
    "no limit": {"tool": {"maxCPUPercent": None}},
    "no mode": {"output": {"mode": None}},
    "no output": {"output": None},
}


@pytest.fixture(scope="module")
def stored(api: RawApi) -> Raw:
    """A run in the cluster in which every field is set."""
    return _stored(api, "full", FULL)


def _stored(api: RawApi, name: str, spec: Raw) -> Raw:
    manifest: Raw = {
        "apiVersion": API_VERSION,
        "kind": "PowerTool",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }
    api.send("DELETE", path_of(manifest, name))
    answer = api.send("POST", f"{path_of(manifest)}?fieldValidation=Strict", manifest)
    assert answer.is_accepted, answer
    return answer.body


@pytest.mark.parametrize("change", list(CHANGES))
def test_no_part_of_a_run_ever_changes(api: RawApi, stored: Raw, change: str) -> None:
    """Each leaf of the spec is immutable, by PATCH and by PUT, removal included, and the message names the part."""
    difference = CHANGES[change]
    part = next(iter(difference))
    path = path_of(stored, "full") + "?dryRun=All"
    patched = api.send("PATCH", path, {"spec": difference}, "application/merge-patch+json")
    put = api.send("PUT", path, merged(stored, {"spec": difference}))
    for answer in (patched, put):
        assert answer.status == 422, answer
        assert any(field == f"spec.{part}" for field, _ in answer.causes), answer
        assert f"{part} is immutable: delete this object and create a new one" in answer.message


def test_nothing_is_added_to_a_run(api: RawApi) -> None:
    """A field that was absent stays absent."""
    small = _stored(
        api, "small", {key: FULL[key] for key in ("targets", "tool")} | {"tool": {"name": "a", "duration": "1s"}}
    )
    for difference in ({"output": {"mode": "ephemeral"}}, {"tool": {"args": ["x"]}}, {"tool": {"warmup": "1s"}}):
        answer = api.send(
            "PATCH", path_of(small, "small") + "?dryRun=All", {"spec": difference}, "application/merge-patch+json"
        )
        assert answer.status == 422, answer


def test_cancel_goes_from_false_to_true_and_never_back(api: RawApi) -> None:
    """Cancel is the one field that may change, once."""
    for name, before in (("absent", {}), ("false", {"cancel": False})):
        run = _stored(api, f"cancel-{name}", FULL | before)
        path = path_of(run, f"cancel-{name}")
        canceled = api.send("PATCH", path, {"spec": {"cancel": True}}, "application/merge-patch+json")
        assert canceled.is_accepted, canceled
        for after in ({"cancel": False}, {"cancel": None}):
            refused = api.send("PATCH", path, {"spec": after}, "application/merge-patch+json")
            assert refused.status == 422, refused
            assert "a canceled run stays canceled: create a new one" in refused.message


def test_a_config_may_change(api: RawApi) -> None:
    """An administrator edits a PowerToolConfig; nothing in it is frozen."""
    answer = tried(api, a_tool(allowedNamespaces=["a"], suspended=True))
    assert answer.is_accepted, answer


def test_the_status_that_the_planner_writes_is_accepted_whole(api: RawApi) -> None:
    """No field of the status is pruned or refused, under strict validation."""
    run = _stored(api, "status", FULL)
    metadata = {"uid": run["metadata"]["uid"], "namespace": NAMESPACE, "name": "status"}
    (write, *_) = plan(a_snapshot(a_powertool(metadata), [a_pod(f"web-{i}") for i in range(3)])).actions
    assert isinstance(write, WriteStatus)
    status = yaml.safe_load(to_yaml(write.status))
    answer = api.send("PUT", path_of(run, "status") + "/status?fieldValidation=Strict", merged(run, {"status": status}))
    assert answer.is_accepted, answer
    assert answer.body["status"] == status


def test_columns_and_short_names(api: RawApi, control_plane: Cluster) -> None:
    """``kubectl get pt`` and ``ptc`` show what a person asks first."""
    _stored(api, "columns", FULL)
    head, *rows = control_plane.kubectl("get", "pt", "--namespace", NAMESPACE).splitlines()
    assert head.split() == ["NAME", "TOOL", "PHASE", "PODS", "DONE", "AGE"]
    assert any(row.split()[:2] == ["columns", "aperf"] for row in rows)
    assert "powertoolconfigs" in control_plane.kubectl("api-resources", "--categories", "toe")
    assert control_plane.kubectl("get", "ptc", "--namespace", NAMESPACE, "-o", "name") == ""


SOURCE = sorted((HERE / "source").glob("*.yaml"))


def _applied(api: RawApi, path: str, manifest: Raw) -> Answer:
    query = "?dryRun=All&force=true&fieldManager=schema-test&fieldValidation=Strict"
    return api.send("PATCH", path + query, manifest, "application/apply-patch+yaml")


@pytest.mark.parametrize("file", [f for f in SOURCE if "PowerToolConfig\n" in f.read_text()], ids=lambda f: f.stem)
def test_every_config_of_the_source_document_applies_as_written(api: RawApi, file: Path) -> None:
    """In the system namespace, strictly, ``capabilities:`` without a value included."""
    manifest = merged({"metadata": {"namespace": "toe-system"}}, yaml.safe_load(file.read_text()))
    manifest["spec"] = yaml.safe_load(file.read_text())["spec"]
    path = path_of(manifest, manifest["metadata"]["name"])
    api.send("DELETE", path)  # one of the same name that another test made
    answer = _applied(api, path, manifest)
    assert answer.is_accepted, answer
    assert answer.body["spec"] == manifest["spec"]
    assert problems_of(manifest) == []


@pytest.mark.parametrize("name", ["powertoolconfig-admin", "powertool-user"])
def test_every_role_of_the_source_document_applies_as_written(api: RawApi, name: str) -> None:
    """Its roles name our group and resources."""
    manifest = yaml.safe_load((HERE / "source" / f"{name}.yaml").read_text())
    answer = _applied(api, f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}", manifest)
    assert answer.is_accepted, answer


def test_the_source_documents_webhook_is_of_a_kind_that_does_not_exist(api: RawApi) -> None:
    """Kubernetes has no ValidatingAdmissionWebhook; its kind is ValidatingWebhookConfiguration."""
    manifest = yaml.safe_load((HERE / "source" / "powertool-security-validator.yaml").read_text())
    kinds = api.send("GET", f"/apis/{manifest['apiVersion']}").body["resources"]
    assert manifest["kind"] not in {kind["kind"] for kind in kinds}
    (problem,) = problems_of(manifest)
    assert str(problem) == 'kind: must be PowerTool or PowerToolConfig, not "ValidatingAdmissionWebhook"'


def test_manifests_of_the_go_implementation_that_mean_something_load(api: RawApi) -> None:
    """Server and codec accept them unchanged."""
    for document in read_documents((HERE / "go" / "loads.yaml").read_text()):
        assert problems_of(document.raw) == [], document.raw["metadata"]["name"]
        answer = tried(api, document.raw)
        assert answer.is_accepted, answer


def test_manifests_of_the_go_implementation_that_mean_nothing_are_refused_by_field(api: RawApi) -> None:
    """Each refusal names every field that cannot mean here what its author meant, offline as in the server."""
    for document in read_documents((HERE / "go" / "refused.yaml").read_text()):
        expected = set(document.raw["metadata"]["annotations"]["refused"].split())
        assert {problem.path for problem in problems_of(document.raw)} == expected
        answer = tried(api, document.raw)
        assert not answer.is_accepted
        assert same_fields(answer.message, answer.causes, sorted(expected)), answer
