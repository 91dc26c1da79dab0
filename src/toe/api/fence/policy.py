"""The shape of a policy and its binding, and the words that all of them share.

Sources: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/ (v1 since Kubernetes 1.30)
and https://kubernetes.io/docs/reference/using-api/cel/ (which CEL there is in which version).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from toe.api.meta import GROUP, Struct
from toe.api.settings import Settings

Object = dict[str, Any]

CONTROLLER = "toe-controller"
"""The one account that injects and that writes status."""
WEBHOOK = "toe-webhook"
"""The one account that writes the catalog; it cannot inject."""

COLLECTOR = "toe-collector"
"""The account that keeps what tools upload; it reads runs and writes nothing of ours."""
APISERVER = "toe-apiserver"
"""The account that hands kept files to people."""

TOOLS_LABEL = "toe.run/tools"
PRIVILEGED_LABEL = "toe.run/allow-privileged-tools"
PREFIX = "toe fence: "
NAME_PREFIX = "toe-fence-"
MARKS = {"app.kubernetes.io/part-of": "toe", "app.kubernetes.io/component": "fence"}

TOOL_NAME = "^toe-[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?-[0-9a-f]{10}$"
"""``toe-<tool>-<10 hex>``: the suffix has a fixed length, so a name has one reading."""

EPHEMERAL = {
    "apiGroups": [""],
    "apiVersions": ["*"],
    "operations": ["UPDATE"],
    "resources": ["pods/ephemeralcontainers"],
}


class Refusal(Struct, frozen=True):
    """Is one thing that must hold, and what a person reads when it does not.

    ``message`` is said as it is; ``tells`` is CEL for the same sentence with facts in it, and wins where it evaluates.
    """

    unless: str
    message: str
    tells: str = ""


def account(settings: Settings, name: str) -> str:
    """Returns the user name of one of toe's service accounts."""
    return f"{accounts(settings)}{name}"


def accounts(settings: Settings) -> str:
    """Returns what the user names of all service accounts of the system namespace begin with."""
    return f"system:serviceaccount:{settings.system_namespace}:"


def is_account(settings: Settings, name: str) -> str:
    """Returns CEL that tells whether the caller is this account of toe's."""
    return f"request.userInfo.username == {quoted(account(settings, name))}"


def is_ours(settings: Settings) -> str:
    """Returns CEL that tells whether the caller is any account of the system namespace."""
    return f"request.userInfo.username.startsWith({quoted(accounts(settings))})"


def quoted(value: str) -> str:
    """Returns a CEL string that holds ``value``, whatever is in it."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def listed(values: Sequence[str]) -> str:
    """Returns a CEL list of strings."""
    return f"[{', '.join(map(quoted, values))}]"


def named(operator: str, settings: Settings) -> Object:
    """Returns what a selector asks of the protected namespaces, ``In`` or ``NotIn``: it has no wildcards."""
    return {
        "key": "kubernetes.io/metadata.name",
        "operator": operator,
        "values": [*settings.protected_namespaces],
    }


def rule(groups: str, resources: Sequence[str], *operations: str) -> Object:
    """Returns one resource rule; ``groups`` is one API group."""
    return {"apiGroups": [groups], "apiVersions": ["*"], "operations": list(operations), "resources": list(resources)}


def own(resources: Sequence[str], *operations: str) -> Object:
    """Returns a resource rule for kinds of toe."""
    return rule(GROUP, resources, *operations)


def validating(
    name: str,
    rules: Sequence[Object],
    refusals: Sequence[Refusal],
    *,
    only: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    audit: Mapping[str, str] | None = None,
    parameters: Object | None = None,
    selector: Object | None = None,
) -> tuple[Object, Object]:
    """Returns a ValidatingAdmissionPolicy and its binding, under one name: fail closed, 403, ``toe fence: ...``.

    ``only`` are match conditions, ``parameters`` is ``{kind: ..., ref: ...}``, ``selector`` is the namespaces that the
    binding covers (none: all of them, and objects without a namespace).
    """
    spec: Object = {
        "failurePolicy": "Fail",
        "matchConstraints": {"matchPolicy": "Equivalent", "resourceRules": [*rules]},
    }
    bound: Object = {"policyName": NAME_PREFIX + name, "validationActions": ["Deny"]}
    if parameters:
        spec["paramKind"] = parameters["kind"]
        bound["paramRef"] = parameters["ref"]
    if only:
        spec["matchConditions"] = [{"name": key, "expression": cel} for key, cel in only.items()]
    if variables:
        spec["variables"] = [{"name": key, "expression": cel} for key, cel in variables.items()]
    spec["validations"] = [_validation(refusal) for refusal in refusals]
    if audit:
        spec["auditAnnotations"] = [{"key": key, "valueExpression": cel} for key, cel in audit.items()]
    if selector:
        bound["matchResources"] = {"namespaceSelector": selector}
    return (
        obj("ValidatingAdmissionPolicy", NAME_PREFIX + name, spec),
        obj("ValidatingAdmissionPolicyBinding", NAME_PREFIX + name, bound),
    )


def obj(kind: str, name: str, spec: Object) -> Object:
    """Returns a cluster-wide object of admissionregistration.k8s.io/v1, marked as a part of the fence."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, "labels": dict(MARKS)},
        "spec": spec,
    }


def _validation(refusal: Refusal) -> Object:
    """Writes a validation; without ``reason`` the answer would be 422 "is invalid: :"."""
    validation = {"expression": refusal.unless, "message": PREFIX + refusal.message, "reason": "Forbidden"}
    return {**validation, "messageExpression": f"{quoted(PREFIX)} + {refusal.tells}"} if refusal.tells else validation
