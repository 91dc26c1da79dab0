"""What is installed on a cluster: namespace, accounts, rights and the operator's pods, as plain objects.

The rights are the least that work; a test asks the API server for what the accounts really hold. Nothing is aggregated
into ``admin`` or ``edit``.
"""

from typing import Any

from charts.certificates import Pair
from toe.api import webhooks
from toe.api.fence.policy import CONTROLLER, WEBHOOK
from toe.api.meta import GROUP
from toe.api.powertoolcatalog import NAME as CATALOG
from toe.api.powertoolcatalog import PLURAL
from toe.api.settings import Settings

Object = dict[str, Any]

TLS_SECRET = "toe-webhook-tls"  # noqa: S105 the name of one
CA_SECRET = "toe-webhook-ca"  # noqa: S105 the name of one
UID = 65532
HEALTH_PORT = 8081
WEBHOOK_PORT = 8443
READ = ["get", "list", "watch"]
NONE: tuple[list[str], list[Object], list[Object]] = ([], [], [])

CONTROLLER_RULES: list[Object] = [
    {"apiGroups": [GROUP], "resources": ["powertools", "powertoolconfigs"], "verbs": READ},
    {"apiGroups": [GROUP], "resources": ["powertools/status", "powertoolconfigs/status"], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["pods", "namespaces"], "verbs": READ},
    {"apiGroups": [""], "resources": ["pods/ephemeralcontainers"], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
    {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
    {
        "apiGroups": ["admissionregistration.k8s.io"],
        "resources": ["validatingadmissionpolicies", "validatingadmissionpolicybindings"],
        "verbs": READ,
    },
]
WEBHOOK_RULES: list[Object] = [
    {"apiGroups": [""], "resources": ["pods", "namespaces"], "verbs": READ},
    {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
]
WEBHOOK_RULES_HERE: list[Object] = [
    {"apiGroups": [GROUP], "resources": ["powertoolconfigs", PLURAL], "verbs": READ},
    {"apiGroups": [GROUP], "resources": [PLURAL], "resourceNames": [CATALOG], "verbs": ["patch"]},
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
        *(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
            for name in (CONTROLLER, WEBHOOK)
        ),
        cluster_role(CONTROLLER, CONTROLLER_RULES),
        cluster_binding(CONTROLLER, namespace),
        cluster_role(WEBHOOK, WEBHOOK_RULES),
        cluster_binding(WEBHOOK, namespace),
        role(WEBHOOK, namespace, WEBHOOK_RULES_HERE),
        binding(WEBHOOK, namespace),
        *(cluster_role(name, rules) for name, rules in ROLES.items()),
        _tools_reader(namespace),
    ]


def controller(
    image: str, settings: Settings, collector: tuple[list[str], list[Object], list[Object]] = NONE
) -> Object:
    """Returns the controller's Deployment; it injects only while the fence is in force.

    ``collector`` is the flags, mounts and volumes by which it knows the collector (:mod:`charts.collector`).
    """
    flags, mounts, volumes = collector
    container = {
        "name": "controller",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [
            "controller",
            f"--system-namespace={settings.system_namespace}",
            f"--profile={settings.profile}",
            f"--health-port={HEALTH_PORT}",
            "--fenced-pod=$(POD_NAME)",
            *flags,
        ],
        "volumeMounts": mounts,
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "ports": [{"name": "health", "containerPort": HEALTH_PORT}],
        **probes("health", "HTTP"),
    }
    return deployment(CONTROLLER, settings, container, volumes)


def webhook(image: str, settings: Settings, *, signs: bool = False, collector: str = "") -> list[Object]:
    """Returns the webhook's Deployment and Service; its certificate is in a Secret of its own.

    ``signs``: the Secret holds an authority (:func:`authority_secret`), and the pods sign and renew for themselves.
    """
    flags = (
        ("--ca-cert=/tls/ca.crt", "--ca-key=/tls/ca.key")
        if signs
        else ("--tls-cert=/tls/tls.crt", "--tls-key=/tls/tls.key")
    )
    container = {
        "name": "webhook",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [
            "webhook",
            f"--system-namespace={settings.system_namespace}",
            f"--profile={settings.profile}",
            f"--port={WEBHOOK_PORT}",
            *flags,
            *([f"--collector={collector}"] if collector else []),
        ],
        "ports": [{"name": "webhook", "containerPort": WEBHOOK_PORT}],
        "volumeMounts": [{"name": "tls", "mountPath": "/tls", "readOnly": True}],
        **probes("webhook", "HTTPS"),
    }
    secret = CA_SECRET if signs else TLS_SECRET
    volumes = [{"name": "tls", "secret": {"secretName": secret, "defaultMode": 0o440}}]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": webhooks.SERVICE, "namespace": settings.system_namespace},
        "spec": {"selector": labels(WEBHOOK), "ports": [{"port": 443, "targetPort": "webhook"}]},
    }
    return [deployment(WEBHOOK, settings, container, volumes), service]


def tls_secret(pair: Pair, settings: Settings) -> Object:
    """Returns the Secret with the webhook's certificate and what the API server trusts it by."""
    data = {"ca.crt": pair.authority, "tls.crt": pair.certificate, "tls.key": pair.key}
    metadata = {"name": TLS_SECRET, "namespace": settings.system_namespace}
    return {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata, "stringData": data}


def authority_secret(certificate: str, key: str, settings: Settings) -> Object:
    """Returns the Secret with the webhook's own authority: whoever reads it can answer in the webhook's place."""
    metadata = {"name": CA_SECRET, "namespace": settings.system_namespace}
    data = {"ca.crt": certificate, "ca.key": key}
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "stringData": data}


def service_names(settings: Settings) -> tuple[str, ...]:
    """Returns the DNS names under which the API server reaches the webhook."""
    return webhooks.service_names(settings.system_namespace)


def hooks(authority: str, settings: Settings) -> Object:
    """Returns the ValidatingWebhookConfiguration for the Service: see :mod:`toe.api.webhooks`."""
    return webhooks.validating(webhooks.Endpoint(authority=authority, namespace=settings.system_namespace))


def stamping_hooks(authority: str, settings: Settings) -> Object:
    """Returns the MutatingWebhookConfiguration that stamps the requester, for Kubernetes before 1.36 only."""
    return webhooks.mutating(webhooks.Endpoint(authority=authority, namespace=settings.system_namespace))


def labels(name: str) -> dict[str, str]:
    """Returns the labels that find a part of toe."""
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "toe"}


def probes(port: str, scheme: str) -> Object:
    """Returns the probes of a part that serves /healthz and /readyz."""

    def get(path: str) -> Object:
        return {"path": path, "port": port, "scheme": scheme}

    return {
        "livenessProbe": {"httpGet": get("/healthz"), "periodSeconds": 10},
        "readinessProbe": {"httpGet": get("/readyz"), "periodSeconds": 2},
    }


def deployment(name: str, settings: Settings, container: Object, volumes: list[Object]) -> Object:
    """Returns one pod that passes Pod Security restricted and needs no disk."""
    hardened = {
        "resources": {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "serviceAccountName": name,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": UID,
            "runAsGroup": UID,
            "fsGroup": UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 10,
        "containers": [{**container, **hardened}],
        "volumes": volumes,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": settings.system_namespace, "labels": labels(name)},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels(name)},
            "template": {"metadata": {"labels": labels(name)}, "spec": pod},
        },
    }


def cluster_role(name: str, rules: list[Object]) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules,
    }


def cluster_binding(account: str, namespace: str) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": account},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }


def role(name: str, namespace: str, rules: list[Object]) -> Object:
    """Returns a Role."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": namespace},
        "rules": rules,
    }


def binding(account: str, namespace: str) -> Object:
    """Binds an account to the Role of its name."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": account, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }


def _tools_reader(namespace: str) -> Object:
    """Returns the role that lets people see the tools there are; who gets it is the administrator's choice."""
    rules = [{"apiGroups": [GROUP], "resources": ["powertoolconfigs"], "verbs": READ}]
    return role("powertool-tools-reader", namespace, rules)
