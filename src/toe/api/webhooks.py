"""What makes the API server ask ``toe webhook``: our two kinds only, fail closed, nothing on the way to a clean-up.

Installed by an administrator, never by toe: whoever may write a webhook configuration owns the cluster.
Source: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

import base64
from typing import Any

from toe.api.meta import GROUP, Struct

Object = dict[str, Any]

SERVICE = "powertool-admission-webhook"
"""As the source document names it."""
NAME = "toe"
TIMEOUT_SECONDS = 5


class Endpoint(Struct, frozen=True):
    """Is where the API server reaches the webhook, and what it trusts: certificates in PEM, old and new ones alike.

    By the Service in ``namespace``, or at ``url`` (``https://host:port``) for a webhook outside of the cluster.
    """

    authority: str
    namespace: str = "toe-system"
    url: str = ""

    def client_config(self, path: str) -> Object:
        """Returns the clientConfig for one path."""
        trust = {"caBundle": base64.b64encode(self.authority.encode()).decode()}
        if self.url:
            return {"url": self.url + path, **trust}
        return {"service": {"name": SERVICE, "namespace": self.namespace, "path": path, "port": 443}, **trust}


def validating(endpoint: Endpoint) -> Object:
    """Returns the ValidatingWebhookConfiguration.

    PowerTools on creation only, so that cancel and clean-up never depend on the webhook; configs also on change.
    """
    return _configuration(
        "ValidatingWebhookConfiguration",
        _hook("powertool", "/validate-powertool", "powertools", ["CREATE"], endpoint),
        _hook("powertoolconfig", "/validate-powertoolconfig", "powertoolconfigs", ["CREATE", "UPDATE"], endpoint),
    )


def mutating(endpoint: Endpoint) -> Object:
    """Returns the MutatingWebhookConfiguration that stamps ``spec.requester``, for Kubernetes before 1.36.

    From 1.36 on the API server stamps by itself (:func:`toe.api.fence.requester.stamp`), also without a webhook.
    """
    hook = _hook("powertool-requester", "/mutate-powertool", "powertools", ["CREATE"], endpoint)
    return _configuration("MutatingWebhookConfiguration", {**hook, "reinvocationPolicy": "IfNeeded"})


def _configuration(kind: str, *hooks: Object) -> Object:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": NAME},
        "webhooks": list(hooks),
    }


def _hook(name: str, path: str, resource: str, operations: list[str], endpoint: Endpoint) -> Object:
    return {
        "name": f"{name}.toe.run",
        "clientConfig": endpoint.client_config(path),
        "rules": [
            {
                "apiGroups": [GROUP],
                "apiVersions": ["*"],
                "operations": operations,
                "resources": [resource],
                "scope": "Namespaced",
            }
        ],
        "matchPolicy": "Equivalent",
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "timeoutSeconds": TIMEOUT_SECONDS,
        "admissionReviewVersions": ["v1"],
    }
