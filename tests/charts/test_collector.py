"""The collector as it is installed: least rights, a restricted pod, and one key in two halves."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from charts import collector
from charts.certificates import Pair
from charts.operator import controller, webhook
from toe.api.endpoint import checked_endpoint
from toe.api.settings import Settings
from toe.controller.tickets import key_id

SETTINGS = Settings()


def _flag(deployment: dict[str, Any], flag: str) -> str:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (value,) = [word.removeprefix(flag) for word in container["args"] if word.startswith(flag)]
    return str(value)


def test_it_writes_events_and_asks_questions_and_nothing_else() -> None:
    """No pods, no statuses, no Secrets: what it says of a run changes nothing of the run."""
    rules = [*collector.RULES, *collector.RULES_HERE]
    rights = {(verb, resource) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    assert {right for right in rights if right[0] not in ("get", "list", "watch")} == {
        ("create", "events"),
        ("patch", "events"),
        ("create", "subjectaccessreviews"),
        ("create", "tokenreviews"),
    }
    assert {resource for _, resource in rights} & {"pods", "secrets", "configmaps"} == set()


def test_everybody_is_told_one_address() -> None:
    """What the controller tells tools is what the webhook writes into the catalog, and a name of the certificate."""
    address = collector.endpoint(SETTINGS)
    assert checked_endpoint(address) == address == f"https://{collector.names(SETTINGS)[0]}"
    told = controller("toe:1", SETTINGS, collector.controller_flags(SETTINGS))
    assert _flag(told, "--collector=") == address
    assert _flag(webhook("toe:1", SETTINGS, collector=address)[0], "--collector=") == address
    service = collector.collector("toe:1", SETTINGS)[1]
    assert address == f"https://{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    assert service["spec"]["ports"] == [{"port": 443, "targetPort": "collector"}]


def test_the_collector_holds_the_public_half_only() -> None:
    """Under the id that the private half signs with; who has the collector's files can make no ticket."""
    secret, config = collector.keys(SETTINGS)
    private = load_pem_private_key(secret["stringData"][collector.TICKET_KEY].encode(), None)
    ((name, text),) = config["data"].items()
    public = load_pem_public_key(text.encode())
    assert isinstance(public, Ed25519PublicKey)
    assert name == f"{key_id(public)}.pem"
    assert private.public_key().public_bytes_raw() == public.public_bytes_raw()  # type: ignore[union-attr]
    mounted = collector.collector("toe:1", SETTINGS)[0]["spec"]["template"]["spec"]["volumes"]
    assert collector.TICKET_SECRET not in str(mounted)


def test_the_controller_is_told_what_it_is_trusted_by_and_not_its_key() -> None:
    """A certificate in a ConfigMap; the key is in a Secret that only the collector mounts."""
    secret, config = collector.certificates(Pair("a", "c", "k"), SETTINGS)
    assert secret["stringData"] == {"tls.crt": "c", "tls.key": "k"}
    assert config["data"] == {"ca.crt": "a"}
    _, _, volumes = collector.controller_flags(SETTINGS)
    assert collector.TLS_SECRET not in str(volumes)


def test_its_pod_passes_pod_security_restricted() -> None:
    """Like every pod of the system namespace."""
    pod = collector.collector("toe:1", SETTINGS)[0]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {next(iter(volume.keys() - {"name"})) for volume in pod["volumes"]} <= {
        "secret",
        "configMap",
        "emptyDir",
        "persistentVolumeClaim",
    }
