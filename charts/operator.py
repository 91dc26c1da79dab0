"""What is installed on a cluster: namespace, accounts, rights and the operator's pods, as plain objects.

The rights are the least that work; a test asks the API server for what the accounts really hold. Nothing is aggregated
into ``admin`` or ``edit``.
"""

from typing import Any

from toe.api.meta import GROUP
from toe.api.settings import Settings

Object = dict[str, Any]

CONTROLLER = "toe-controller"
UID = 65532
HEALTH_PORT = 8081
READ = ["get", "list", "watch"]

CONTROLLER_RULES: list[Object] = [
    {"apiGroups": [GROUP], "resources": ["powertools", "powertoolconfigs"], "verbs": READ},
    {"apiGroups": [GROUP], "resources": ["powertools/status", "powertoolconfigs/status"], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["pods", "namespaces"], "verbs": READ},
    {"apiGroups": [""], "resources": ["pods/ephemeralcontainers"], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
    {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
]

ROLES: dict[str, list[Object]] = {
    # The source document's two, and one that only looks.
    "powertoolconfig-admin": [
        {
            "apiGroups": [GROUP],
            "resources": ["powertoolconfigs"],
            "verbs": ["create", "update", "patch", "delete", *READ],
        }
    ],
    "powertool-user": [
        {"apiGroups": [GROUP], "resources": ["powertools"], "verbs": ["create", "update", "patch", "delete", *READ]}
    ],
    "powertool-viewer": [{"apiGroups": [GROUP], "resources": ["powertools"], "verbs": READ}],
}


def accounts(settings: Settings) -> list[Object]:
    """Returns the namespace, which enforces Pod Security restricted, the account and its rights, and people's roles."""
    namespace = settings.system_namespace
    level = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": level}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": CONTROLLER, "namespace": namespace}},
        _cluster_role(CONTROLLER, CONTROLLER_RULES),
        _cluster_binding(CONTROLLER, namespace),
        *(_cluster_role(name, rules) for name, rules in ROLES.items()),
        _tools_reader(namespace),
    ]


def controller(image: str, settings: Settings) -> Object:
    """Returns the controller's Deployment: one pod that passes Pod Security restricted and needs no disk."""
    labels = {"app.kubernetes.io/name": CONTROLLER, "app.kubernetes.io/part-of": "toe"}
    container = {
        "name": "controller",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["controller", f"--system-namespace={settings.system_namespace}", f"--health-port={HEALTH_PORT}"],
        "ports": [{"name": "health", "containerPort": HEALTH_PORT}],
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "health"}, "periodSeconds": 10},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "health"}, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": CONTROLLER, "namespace": settings.system_namespace, "labels": labels},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": CONTROLLER,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": UID,
                        "runAsGroup": UID,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 10,
                    "containers": [container],
                },
            },
        },
    }


def _cluster_role(name: str, rules: list[Object]) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules,
    }


def _cluster_binding(account: str, namespace: str) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": account},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }


def _tools_reader(namespace: str) -> Object:
    """Returns the role that lets people see the tools there are; who gets it is the administrator's choice."""
    rules = [{"apiGroups": [GROUP], "resources": ["powertoolconfigs"], "verbs": READ}]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "powertool-tools-reader", "namespace": namespace},
        "rules": rules,
    }
