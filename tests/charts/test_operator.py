"""What is installed: least rights, restricted pods, and webhooks that concern nothing but our two kinds."""

from typing import Any

import pytest

from charts.certificates import Pair
from charts.operator import (
    CONTROLLER_RULES,
    ROLES,
    WEBHOOK_RULES,
    WEBHOOK_RULES_HERE,
    accounts,
    authority_secret,
    controller,
    hooks,
    service_names,
    stamping_hooks,
    tls_secret,
    webhook,
)
from toe.api.settings import Settings

SETTINGS = Settings()
DEPLOYMENTS = [controller("toe:1", SETTINGS), webhook("toe:1", SETTINGS)[0]]


def _rights(rules: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(verb, resource) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}


def test_the_controller_writes_statuses_injections_and_events_only() -> None:
    """Nothing of pods beside the subresource, no configs, no catalog, no Secrets, no tokens."""
    reads = {"get", "list", "watch"}
    assert {right for right in _rights(CONTROLLER_RULES) if right[0] not in reads} == {
        ("patch", "powertools/status"),
        ("patch", "powertoolconfigs/status"),
        ("patch", "pods/ephemeralcontainers"),
        ("create", "events"),
        ("patch", "events"),
        ("create", "subjectaccessreviews"),
    }


def test_who_writes_the_catalog_cannot_inject() -> None:
    """A thief of one account needs the other one too."""
    rights = _rights([*WEBHOOK_RULES, *WEBHOOK_RULES_HERE])
    assert {right for right in rights if right[0] not in ("get", "list", "watch")} == {
        ("create", "subjectaccessreviews"),
        ("patch", "powertoolcatalogs"),
    }


def test_nothing_is_aggregated_and_nothing_is_a_wildcard() -> None:
    """Neither into admin or edit, nor by a star."""
    for obj in accounts(SETTINGS):
        assert "labels" not in obj["metadata"] or obj["kind"] == "Namespace"
        for rule in obj.get("rules", ()):
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
    assert set(ROLES) == {"powertoolconfig-admin", "powertool-user", "powertool-viewer"}


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda d: d["metadata"]["name"])
def test_pods_pass_pod_security_restricted(deployment: dict[str, Any]) -> None:
    """Not root, no capability, no escalation, a read-only root, and a service account of their own."""
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["serviceAccountName"] == deployment["metadata"]["name"]


def test_the_webhook_is_asked_about_our_kinds_only_and_fails_closed() -> None:
    """It can stop nothing else in the cluster; runs are judged at creation only, so that cancel never depends on it."""
    found = hooks("authority", SETTINGS)["webhooks"]
    assert {hook["failurePolicy"] for hook in found} == {"Fail"}
    assert {hook["sideEffects"] for hook in found} == {"None"}
    rules = {rule["resources"][0]: rule["operations"] for hook in found for rule in hook["rules"]}
    assert rules == {"powertools": ["CREATE"], "powertoolconfigs": ["CREATE", "UPDATE"]}
    assert {hook["clientConfig"]["service"]["path"] for hook in found} == {
        "/validate-powertool",
        "/validate-powertoolconfig",
    }


def test_pods_that_sign_for_themselves_mount_the_authority_and_nothing_else() -> None:
    """Read only, and the container is told so."""
    pod = webhook("toe:1", SETTINGS, signs=True)[0]["spec"]["template"]["spec"]
    secret = authority_secret("c", "k", SETTINGS)
    assert [volume["secret"]["secretName"] for volume in pod["volumes"]] == [secret["metadata"]["name"]]
    assert {"--ca-cert=/tls/ca.crt", "--ca-key=/tls/ca.key"} <= set(pod["containers"][0]["args"])
    assert secret["stringData"] == {"ca.crt": "c", "ca.key": "k"}


def test_the_stamp_of_old_versions_is_asked_of_the_same_service() -> None:
    """On creation only."""
    (hook,) = stamping_hooks("authority", SETTINGS)["webhooks"]
    assert hook["clientConfig"]["service"]["path"] == "/mutate-powertool"


def test_the_certificate_is_for_the_service() -> None:
    """Under the name by which the API server calls it."""
    service = webhook("toe:1", SETTINGS)[1]
    assert f"{service['metadata']['name']}.toe-system.svc" in service_names(SETTINGS)
    secret = tls_secret(Pair("a", "c", "k"), SETTINGS)
    assert secret["stringData"] == {"ca.crt": "a", "tls.crt": "c", "tls.key": "k"}
