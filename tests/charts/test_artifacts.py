"""The artifacts API as it is installed: what it may do, and that it can be switched off."""

import base64

from charts.artifacts import NAME, accounts, address, apiserver, certificate, registration, service_names
from charts.certificates import Pair
from toe.api.settings import Settings

SETTINGS = Settings()


def test_its_account_may_ask_about_rights_and_read_whom_to_trust() -> None:
    """Nothing else: no pod, no run, no Secret."""
    found = accounts(SETTINGS)
    rules = {(obj["kind"], obj["metadata"]["name"]): obj["rules"] for obj in found if "rules" in obj}
    assert rules["ClusterRole", NAME] == [
        {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]}
    ]
    (trust,) = (obj for obj in found if obj["metadata"].get("namespace") == "kube-system")
    assert trust["roleRef"] == {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "Role",
        "name": "extension-apiserver-authentication-reader",
    }
    assert trust["subjects"] == [{"kind": "ServiceAccount", "name": NAME, "namespace": "toe-system"}]


def test_people_get_the_role_from_an_administrator_only() -> None:
    """It is aggregated into no other; it lists, and fetches."""
    (reader,) = (obj for obj in accounts(SETTINGS) if obj["metadata"]["name"] == "powertool-artifacts-reader")
    assert set(reader["metadata"]) == {"name"}
    assert [(rule["resources"], rule["verbs"]) for rule in reader["rules"]] == [
        (["artifacts"], ["get", "list"]),
        (["artifacts/content", "artifacts/log"], ["get"]),
    ]


def test_one_of_two_pods_always_stays() -> None:
    """While nobody answers, no namespace of the cluster can be deleted."""
    pods, service, budget = apiserver("toe:1", SETTINGS)
    assert pods["spec"]["replicas"] == 2
    assert pods["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert budget["spec"]["minAvailable"] == 1
    labels = pods["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == budget["spec"]["selector"]["matchLabels"] == labels


def test_the_api_server_calls_the_service_and_trusts_its_authority() -> None:
    """By the name that its certificate is for; the resource of a name that others have is theirs."""
    found = registration("PEM", SETTINGS)
    assert found["metadata"]["name"] == "v1alpha1.artifacts.toe.run"
    assert base64.b64decode(found["spec"]["caBundle"]) == b"PEM"
    assert "insecureSkipTLSVerify" not in found["spec"]
    service = found["spec"]["service"]
    assert f"{service['name']}.{service['namespace']}.svc" == service_names(SETTINGS)[0]
    assert certificate(Pair("a", "c", "k"), SETTINGS)["stringData"] == {"tls.crt": "c", "tls.key": "k"}


def test_the_collectors_own_address_can_be_read_by_everybody() -> None:
    """That one ConfigMap and no other, and written by nobody."""
    configmap, role, binding = address("https://collector.example", "PEM", SETTINGS)
    assert configmap["data"] == {"url": "https://collector.example", "ca.crt": "PEM"}
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["toe-downloads"], "verbs": ["get"]}
    ]
    assert [subject["name"] for subject in binding["subjects"]] == ["system:authenticated"]
