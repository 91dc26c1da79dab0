"""Who may do what: the roles of toe's own accounts, made from their duties, and those that people are given.

Nothing is aggregated into ``admin``, ``edit`` or ``view``: whoever administers a namespace uses no tool by that, and
whoever may ``view`` reads no Secrets either, and a result can be a heap dump.
"""

from typing import Any

from toe.api.meta import GROUP
from toe.api.settings import Settings
from toe.policy.duties import DUTIES, Duty
from toe.report.artifacts import GROUP as ARTIFACTS
from toe.report.artifacts import PLURAL

Object = dict[str, Any]

READ = ("get", "list", "watch")
WRITE = ("create", "update", "patch", "delete")
TRUST = "extension-apiserver-authentication"
"""The ConfigMap that says which front proxy speaks for the API server; Kubernetes has a role of its own for it.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/
"""

TOOLS_READER = "powertool-tools-reader"
"""Of the system namespace: lets people see the tools there are; who gets it is the administrator's choice."""
DOWNLOADS, DOWNLOADS_READER = "toe-downloads", "toe-downloads-reader"
"""Says where people find the collector without the artifacts API, and lets everybody read that."""


def _rule(group: str, *resources: str, verbs: tuple[str, ...]) -> Object:
    return {"apiGroups": [group], "resources": [*resources], "verbs": [*verbs]}


PEOPLE: dict[str, list[Object]] = {
    # The source document's two, and those who only look.
    "powertoolconfig-admin": [_rule(GROUP, "powertoolconfigs", verbs=(*WRITE, *READ))],
    "powertool-user": [_rule(GROUP, "powertools", verbs=(*WRITE, *READ))],
    "powertool-viewer": [_rule(GROUP, "powertools", verbs=READ)],
    "powertoolconfig-viewer": [_rule(GROUP, "powertoolconfigs", verbs=READ)],
    "powertool-artifacts-reader": [
        _rule(ARTIFACTS, PLURAL, verbs=("get", "list")),
        _rule(ARTIFACTS, f"{PLURAL}/content", f"{PLURAL}/log", verbs=("get",)),
    ],
    "toe-metrics-reader": [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}],
}
"""ClusterRoles; who is bound to them, and where, is the administrator's choice."""


def account(name: str, settings: Settings) -> list[Object]:
    """Returns the roles and bindings that give an account its duties, and no right beside them."""
    namespace, duties = settings.system_namespace, DUTIES[name]
    wide = [_of(duty) for duty in duties if not duty.is_local and duty.names != (TRUST,)]
    local = [_of(duty) for duty in duties if duty.is_local]
    whom = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    made = [_role("ClusterRole", name, "", wide), _binding("ClusterRoleBinding", name, "", name, whom)]
    if local:
        made += [_role("Role", name, namespace, local), _binding("RoleBinding", name, namespace, name, whom)]
    if any(duty.names == (TRUST,) for duty in duties):
        made.append(_binding("RoleBinding", name, "kube-system", f"{TRUST}-reader", whom))
    return made


def people(settings: Settings) -> list[Object]:
    """Returns the roles that people are given."""
    reader = [_rule(GROUP, "powertoolconfigs", verbs=READ)]
    return [
        *(_role("ClusterRole", name, "", rules) for name, rules in PEOPLE.items()),
        _role("Role", TOOLS_READER, settings.system_namespace, reader),
    ]


def downloads(settings: Settings) -> list[Object]:
    """Returns the right of everybody to read where the collector is found."""
    rules = [{**_rule("", "configmaps", verbs=("get",)), "resourceNames": [DOWNLOADS]}]
    namespace, name = settings.system_namespace, DOWNLOADS_READER
    everybody = {"kind": "Group", "name": "system:authenticated", "apiGroup": "rbac.authorization.k8s.io"}
    return [_role("Role", name, namespace, rules), _binding("RoleBinding", name, namespace, name, everybody)]


def everything(settings: Settings) -> list[Object]:
    """Returns all accounts with their rights, and the roles of people."""
    namespace = settings.system_namespace
    named = ({"name": name, "namespace": namespace} for name in DUTIES)
    accounts = [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata} for metadata in named]
    return [*accounts, *(obj for name in DUTIES for obj in account(name, settings)), *people(settings)]


def _of(duty: Duty) -> Object:
    rule = _rule(duty.group, duty.resource, verbs=duty.verbs)
    return {**rule, "resourceNames": [*duty.names]} if duty.names else rule


def _role(kind: str, name: str, namespace: str, rules: list[Object]) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name} | ({"namespace": namespace} if namespace else {}),
        "rules": rules,
    }


def _binding(kind: str, name: str, namespace: str, role: str, subject: Object) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name} | ({"namespace": namespace} if namespace else {}),
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole" if kind == "ClusterRoleBinding" else "Role",
            "name": role,
        },
        "subjects": [subject],
    }
