"""The chart: every value does something, what is wrong is refused, and no pod holds what is not its own."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.charts.rendering import CHART, Object, named, pods, refusal, rendered
from toe.api.fence.canary import gaps
from toe.api.fence.objects import fence
from toe.api.settings import PROFILES, Profile
from toe.kube.settings import stated_settings

pytestmark = pytest.mark.process

VALUES: Object = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: Object = json.loads((CHART / "values.schema.json").read_text())
DIGEST = "sha256:" + "0" * 64
SIGNING = {("toe-ticket-key", "ticket.key"), ("toe-ticket-key", "previous.key")}
PARTS = ("toe-controller", "toe-webhook", "toe-collector", "toe-apiserver")

# Another value for each path, and what else must be set for it to count.
OTHERWISE: dict[str, Any] = {
    "profile": "hardened",
    "settings.requireUse": "Low",
    "settings.requireTargetAccess": "refuse",
    "settings.requireDigest": "Low",
    "settings.requireReviewDate": "yes",
    "settings.serviceAccounts": "listed",
    "settings.listedServiceAccounts": ["ci:bot"],
    "settings.unknownIdentity": "image",
    "settings.goVariables": "yes",
    "settings.stampAge": "1h",
    "image.repository": "registry.example/toe",
    "image.tag": "2.0.0",
    "image.digest": DIGEST,
    "image.pullPolicy": "Always",
    "imagePullSecrets": [{"name": "registry"}],
    "namespace.create": True,
    "pods.annotations": {"team": "platform"},
    "pods.labels": {"team": "platform"},
    "pods.nodeSelector": {"disk": "ssd"},
    "pods.tolerations": [{"operator": "Exists"}],
    "pods.affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "pods.priorityClassName": "system-cluster-critical",
    "logLevel": "debug",
    "controller.workers": 8,
    "controller.maxActiveRuns": 10,
    "controller.maxInjectionsPerMinute": 60,
    "controller.maxContainersPerPod": 8,
    "controller.startDeadline": "1m",
    "controller.startErrorAllowance": "1m",
    "controller.startAllowance": "1m",
    "webhook.port": 10250,
    "webhook.hostNetwork": True,
    "collector.enabled": False,
    "collector.storage.location": "s3://bucket/toe",
    "collector.storage.options": {"region": "eu-central-1"},
    "collector.storage.credentialsSecret": "s3",
    "collector.storage.claim.existing": "nfs",
    "collector.storage.claim.size": "1Ti",
    "collector.storage.claim.storageClassName": "nfs",
    "collector.storage.claim.accessMode": "ReadWriteOnce",
    "collector.storage.claim.keep": False,
    "collector.scratchSize": "1Gi",
    "collector.retentionDays": 30,
    "collector.retentionLimit": "15Gi",
    "collector.quotaTotal": "15Gi",
    "collector.quotaNamespace": "1Gi",
    "collector.lowWater": "1Gi",
    "collector.lease": "1m",
    "collector.maxConnections": 9,
    "collector.maxConnectionsPerAddress": 9,
    "collector.maxSessions": 9,
    "collector.podAddresses": "enforce",
    "collector.downloads.url": "https://toe.example",
    "collector.downloads.authority": "PEM",
    "artifactsAPI.enabled": False,
    "artifactsAPI.port": 10250,
    "artifactsAPI.hostNetwork": True,
    "certificates.mode": "cert-manager",
    "certificates.generation": "2",
    "certificates.issuer.name": "vault",
    "certificates.issuer.kind": "Issuer",
    "tickets.generation": "2",
    "rbac.tools": ["py-spy"],
    "networkPolicies.enabled": False,
    "networkPolicies.apiServerCIDRs": ["10.0.0.0/28"],
    "networkPolicies.apiServerPorts": [443],
    "networkPolicies.metricsNamespaces": {"kubernetes.io/metadata.name": "monitoring"},
    "podDisruptionBudgets.enabled": False,
    "monitoring.serviceMonitor.enabled": True,
    "monitoring.serviceMonitor.interval": "60s",
    "monitoring.serviceMonitor.labels": {"release": "prometheus"},
    "monitoring.alerts.enabled": True,
    "monitoring.alerts.labels": {"release": "prometheus"},
    "monitoring.dashboard.enabled": True,
    "monitoring.dashboard.labels": {"grafana": "yes"},
    **{
        f"{part}.{name}": value
        for part in ("controller", "webhook", "collector", "artifactsAPI")
        for name, value in {
            "replicas": 1,
            "resources": {"limits": {"memory": "1Gi"}},
            "serviceAccountAnnotations": {"cloud.example/role": "toe"},
        }.items()
    },
}
BESIDE: dict[str, Object] = {
    "collector.enabled": {"artifactsAPI.enabled": False},
    "collector.scratchSize": {"collector.storage.location": "s3://bucket/toe"},
    "collector.storage.claim.accessMode": {"collector.replicas": 1},
    "collector.downloads.authority": {"collector.downloads.url": "https://toe.example"},
    "certificates.issuer.name": {"certificates.mode": "cert-manager"},
    "certificates.issuer.kind": {"certificates.mode": "cert-manager", "certificates.issuer.name": "vault"},
    "monitoring.serviceMonitor.interval": {"monitoring.serviceMonitor.enabled": True},
    "monitoring.serviceMonitor.labels": {"monitoring.serviceMonitor.enabled": True},
    "monitoring.alerts.labels": {"monitoring.alerts.enabled": True},
    "monitoring.dashboard.labels": {"monitoring.dashboard.enabled": True},
}


def leaves(values: Object, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields every value by its path; what people fill with names of their own is one value."""
    for name, value in values.items():
        here = f"{path}{name}"
        if isinstance(value, dict) and value and "additionalProperties" in _schema(here) and _is_closed(here):
            yield from leaves(value, f"{here}.")
        else:
            yield here, value


def _schema(path: str) -> Object:
    found = SCHEMA
    for name in path.split("."):
        found = found["properties"][name]
    return found


def _is_closed(path: str) -> bool:
    return _schema(path)["additionalProperties"] is False and not path.endswith("resources")


def _comparable(objects: list[Object]) -> str:
    """Leaves out what is random: keys and certificates."""
    for obj in objects:
        if obj["kind"] == "Secret":
            obj["data"] = sorted(obj["data"])
        obj.get("spec", {}).pop("caBundle", None)
        for hook in obj.get("webhooks", ()):
            hook["clientConfig"].pop("caBundle", None)
    return json.dumps(objects, sort_keys=True)


def test_every_value_is_tried() -> None:
    """A value that is added needs a line here."""
    assert {path for path, _ in leaves(VALUES)} == set(OTHERWISE)


@pytest.mark.parametrize("path", OTHERWISE)
def test_every_value_does_something(path: str) -> None:
    """Changed, it changes what is installed."""
    beside = BESIDE.get(path, {})
    before, after = (_comparable(rendered(values)) for values in (beside, beside | {path: OTHERWISE[path]}))
    assert before != after


def _wrong(path: str, schema: Object) -> Iterator[tuple[str, Any]]:
    """Yields wrong values: of another type, and names that nobody knows."""
    for name, inner in schema["properties"].items():
        here = f"{path}{name}"
        if name == "global":
            continue
        yield here, [1] if inner["type"] != "array" else {"x": 1}
        if inner.get("additionalProperties") is False:
            yield f"{here}.unknown", 1
            yield from _wrong(f"{here}.", inner)


def test_unknown_and_wrong_values_are_refused_all_at_once() -> None:
    """Each is named, by its path."""
    wrong = dict(_wrong("", SCHEMA)) | {"unknown": 1}
    alone = {path: value for path, value in wrong.items() if not any(other.startswith(f"{path}.") for other in wrong)}
    told = refusal(alone)
    for path in alone:
        parent, _, name = path.rpartition(".")
        place = f"/{parent}".replace(".", "/") if name == "unknown" else f"/{path}".replace(".", "/")
        assert f"at '{place.removesuffix('/')}'" in told, path
    assert len(alone) > 80


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"collector.storage.claim.accessMode": "ReadWriteOnce"}, "collector.replicas: 1 is wanted"),
        ({"collector.enabled": False}, "artifactsAPI.enabled: false is wanted"),
        ({"artifactsAPI.hostNetwork": True, "webhook.hostNetwork": True}, "artifactsAPI.port: another one"),
        ({"collector.lease": "soon"}, "/collector/lease"),
        ({"image.digest": "sha256:0"}, "/image/digest"),
        ({"webhook.port": 443}, "/webhook/port"),
        ({"collector.storage.location": "/etc"}, "/collector/storage/location"),
        ({"controller.maxContainersPerPod": 64}, "/controller/maxContainersPerPod"),
    ],
)
def test_what_contradicts_itself_is_refused(values: Object, told: str) -> None:
    """By the name of the value, with what would be accepted."""
    assert told in refusal(values)


def test_without_policies_toe_is_not_installed() -> None:
    """A cluster that cannot fence toe's own account gets no such account; an old one is refused by its version."""
    assert "ValidatingAdmissionPolicy" in refusal({}, "--api-versions", "v1/Pod")
    assert "kubeVersion" in refusal({}, kubernetes="1.32.9")


@pytest.mark.parametrize(
    ("version", "by"), [("1.33.1", "MutatingWebhookConfiguration"), ("1.36.0", "MutatingAdmissionPolicy")]
)
def test_the_requester_is_stamped_by_what_the_cluster_has(version: str, by: str) -> None:
    """By the API server from 1.36 on, before by the webhook; never by both."""
    kinds = {obj["kind"] for obj in rendered(kubernetes=version)}
    assert kinds & {"MutatingWebhookConfiguration", "MutatingAdmissionPolicy"} == {by}


def test_pods_pass_pod_security_restricted() -> None:
    """Not root, no capability, no escalation, a read-only root, and an account of their own."""
    found = pods(rendered())
    assert set(found) == set(PARTS)
    for name, pod in found.items():
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert pod["serviceAccountName"] == name
        assert {next(iter(volume.keys() - {"name"})) for volume in pod["volumes"]} <= {
            "secret",
            "emptyDir",
            "persistentVolumeClaim",
        }


def test_a_part_holds_no_key_of_another_part() -> None:
    """Whoever takes over the controller cannot answer as the webhook, and who has the collector can make no ticket."""
    keys = {"ca.key", "previous.key", "tls.key", "ticket.key"}
    for mode in ("own", "cert-manager"):
        for name, pod in pods(rendered({"certificates.mode": mode})).items():
            held = set()
            for volume in pod["volumes"]:
                if secret := volume.get("secret"):
                    items = {item["key"] for item in secret.get("items", ())}
                    held |= (
                        {(secret["secretName"], key) for key in items & keys}
                        if items
                        else {(secret["secretName"], "all")}
                    )
            own = {(f"{name}-{'ca' if mode == 'own' else 'tls'}", "all")}
            assert held == own | (SIGNING if name == "toe-controller" else set())


def test_everybody_is_told_one_address_of_the_collector() -> None:
    """What the controller tells tools is what the webhook writes into the catalog, and what the Service is called."""
    objects = rendered()
    told = {
        word
        for name in ("toe-controller", "toe-webhook")
        for word in pods(objects)[name]["containers"][0]["args"]
        if word.startswith("--collector=")
    }
    service = named(objects, "Service", "toe-collector")["metadata"]
    assert told == {f"--collector=https://{service['name']}.{service['namespace']}.svc"}


def test_who_answers_the_api_server_is_never_gone_in_an_upgrade() -> None:
    """One pod more for a while, and never one less; and one stays while nodes are drained."""
    objects = rendered()
    for name in ("toe-controller", "toe-webhook", "toe-apiserver"):
        assert named(objects, "Deployment", name)["spec"]["strategy"]["rollingUpdate"] == {
            "maxUnavailable": 0,
            "maxSurge": 1,
        }
    for name in PARTS:
        assert named(objects, "PodDisruptionBudget", name)["spec"]["minAvailable"] == 1


def test_services_find_the_pods_of_their_part_and_no_others() -> None:
    """By labels that every pod of the part has."""
    objects = rendered()
    labels = {
        obj["metadata"]["name"]: obj["spec"]["template"]["metadata"]["labels"]
        for obj in objects
        if obj["kind"] in ("Deployment", "StatefulSet")
    }
    for kind, path in (("Service", "selector"), ("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        for obj in (obj for obj in objects if obj["kind"] == kind):
            selector = obj["spec"][path]
            selector = selector.get("matchLabels", selector)
            found = {name for name, have in labels.items() if selector.items() <= have.items()}
            name = obj["metadata"]["name"]
            wanted = {"powertool-admission-webhook": {"toe-webhook"}, "toe": set(PARTS)}.get(name, {name})
            assert found == wanted, (kind, name)


def test_the_catalog_is_installed_empty_and_says_nothing_that_an_upgrade_could_write() -> None:
    """Where its definition is there; the fence does not let it go, so Helm leaves it."""
    kind = "codriverlabs.ai.toe.run/v1alpha1/PowerToolCatalog"
    catalog = named(rendered({}, "--api-versions", kind), "PowerToolCatalog", "catalog")
    assert catalog["spec"] == {}
    assert catalog["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert not any(obj["kind"] == "PowerToolCatalog" for obj in rendered())


@pytest.mark.parametrize("profile", PROFILES)
def test_every_setting_reaches_every_part_that_judges_and_the_fence(profile: Profile) -> None:
    """What the parts were told is what the fence was made for; the controller compares it and injects nothing else."""
    values: Object = {"profile": profile, "settings.listedServiceAccounts": ["ci:bot"], "settings.goVariables": "yes"}
    for more in ({}, {"settings.requireUse": "Low"}, {"settings.requireUse": "High"}):
        objects = rendered(values | more)
        told = [stated_settings(pods(objects)[name]["containers"][0]["args"]) for name in PARTS[:2]]
        assert told[0] is not None
        assert told[0] == told[1]
        assert (told[0].go_variables, told[0].listed_service_accounts) == (True, ("system:serviceaccount:ci:bot",))
        wanted = fence(told[0], told[0].profile, stamped=True)
        found = [obj for obj in objects if obj["kind"].startswith("ValidatingAdmissionPolicy")]
        assert gaps(wanted, found) == ()
        assert len(found) == len(wanted)
