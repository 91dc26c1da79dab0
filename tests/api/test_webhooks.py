"""What makes the API server ask the webhook."""

import base64
from typing import Any

import pytest

from toe.api.webhooks import SERVICE, Endpoint, mutating, validating
from toe.kube.serving import service_names

INSIDE = Endpoint(authority="PEM", namespace="tools")
HOOKS = [*validating(INSIDE)["webhooks"], *mutating(INSIDE)["webhooks"]]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["name"])
def test_a_hook_fails_closed_soon_and_concerns_our_group_only(hook: dict[str, Any]) -> None:
    """Nothing of the webhook's own start, and nothing without a namespace, is asked about."""
    assert (hook["failurePolicy"], hook["sideEffects"], hook["matchPolicy"]) == ("Fail", "None", "Equivalent")
    assert hook["timeoutSeconds"] == 5
    (rule,) = hook["rules"]
    assert rule["apiGroups"] == ["codriverlabs.ai.toe.run"]
    assert rule["scope"] == "Namespaced"
    assert not any("*" in resource or "/" in resource for resource in rule["resources"])


def test_runs_are_judged_at_creation_only() -> None:
    """Cancel, status and clean-up never depend on the webhook; configs are judged whenever they are written."""
    asked = {hook["clientConfig"]["service"]["path"]: hook["rules"][0]["operations"] for hook in HOOKS}
    assert asked == {
        "/validate-powertool": ["CREATE"],
        "/validate-powertoolconfig": ["CREATE", "UPDATE"],
        "/mutate-powertool": ["CREATE"],
    }


def test_the_service_is_the_one_that_the_certificate_is_for() -> None:
    """In the namespace that was said, with what is to be trusted."""
    config = HOOKS[0]["clientConfig"]
    assert config["service"]["name"] == SERVICE == "powertool-admission-webhook"
    assert f"{SERVICE}.{config['service']['namespace']}.svc" in service_names(SERVICE, "tools")
    assert base64.b64decode(config["caBundle"]) == b"PEM"


def test_a_webhook_outside_of_the_cluster_has_an_address() -> None:
    """Instead of a Service."""
    config = validating(Endpoint(authority="PEM", url="https://192.0.2.1:8443"))["webhooks"][0]["clientConfig"]
    assert config["url"] == "https://192.0.2.1:8443/validate-powertool"
    assert "service" not in config
