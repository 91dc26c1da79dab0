"""What is installed so that people fetch kept files through the API server, as plain objects.

Registered last and removed first: while an APIService is registered and nobody answers for it, no namespace of the
cluster can be deleted. It can be left out: then people come to the collector's own address (:func:`address`).
"""

import base64
from typing import Any

from charts.certificates import Pair
from charts.collector import CLAIM, STORE
from charts.operator import binding, cluster_binding, cluster_role, deployment, labels, probes, role
from toe.api.settings import Settings
from toe.report.artifacts import GROUP, PLURAL, VERSION

Object = dict[str, Any]

NAME = "toe-apiserver"
TLS_SECRET = "toe-apiserver-tls"  # noqa: S105 the name of one
PORT = 8443
READER = "powertool-artifacts-reader"
CONFIGMAP, ADDRESS_READER = "toe-downloads", "toe-downloads-reader"

RULES: list[Object] = [
    {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
]
"""All that the artifacts API may do, beside reading which front proxy to trust."""
READER_RULES: list[Object] = [
    {"apiGroups": [GROUP], "resources": [PLURAL], "verbs": ["get", "list"]},
    {"apiGroups": [GROUP], "resources": [f"{PLURAL}/content", f"{PLURAL}/log"], "verbs": ["get"]},
]


def accounts(settings: Settings) -> list[Object]:
    """Returns the account with its rights, and the role that lets people list and fetch.

    The role is aggregated into nothing: a result can be a heap dump, and whoever may ``view`` reads no Secrets either.
    """
    namespace = settings.system_namespace
    trust = binding(NAME, "kube-system")
    trust["roleRef"]["name"] = "extension-apiserver-authentication-reader"
    trust["subjects"][0]["namespace"] = namespace
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": namespace}},
        cluster_role(NAME, RULES),
        cluster_binding(NAME, namespace),
        trust,
        cluster_role(READER, READER_RULES),
    ]


def apiserver(image: str, settings: Settings) -> list[Object]:
    """Returns two pods, the Service in front of them, and the budget that keeps one of them.

    They mount the collector's claim, and write to it: each download is recorded.
    """
    mounts: list[Object] = [
        {"name": "tls", "mountPath": "/tls", "readOnly": True},
        {"name": "artifacts", "mountPath": "/artifacts"},
    ]
    volumes: list[Object] = [
        {"name": "tls", "secret": {"secretName": TLS_SECRET, "defaultMode": 0o440}},
        {"name": "artifacts", "persistentVolumeClaim": {"claimName": CLAIM}},
    ]
    container = {
        "name": "apiserver",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [
            "apiserver",
            f"--port={PORT}",
            f"--store={STORE}",
            "--tls-cert=/tls/tls.crt",
            "--tls-key=/tls/tls.key",
        ],
        "ports": [{"name": "https", "containerPort": PORT}],
        "volumeMounts": mounts,
        **probes("https", "HTTPS"),
    }
    pods = deployment(NAME, settings, container, volumes)
    pods["spec"] |= {
        "replicas": 2,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
    }
    pod = pods["spec"]["template"]["spec"]
    pod["terminationGracePeriodSeconds"] = 60
    pod["topologySpreadConstraints"] = [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": labels(NAME)},
        }
    ]
    metadata = {"name": NAME, "namespace": settings.system_namespace}
    return [
        pods,
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": labels(NAME), "ports": [{"port": 443, "targetPort": "https"}]},
        },
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata,
            "spec": {"minAvailable": 1, "selector": {"matchLabels": labels(NAME)}},
        },
    ]


def certificate(pair: Pair, settings: Settings) -> Object:
    """Returns the Secret with its certificate; what it is trusted by is in the APIService (:func:`registration`)."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": TLS_SECRET, "namespace": settings.system_namespace},
        "stringData": {"tls.crt": pair.certificate, "tls.key": pair.key},
    }


def service_names(settings: Settings) -> tuple[str, ...]:
    """Returns the DNS names under which the API server reaches it."""
    return (f"{NAME}.{settings.system_namespace}.svc", f"{NAME}.{settings.system_namespace}")


def registration(authority: str, settings: Settings) -> Object:
    """Returns the APIService; ``authority`` is what its certificate is trusted by, in PEM."""
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{VERSION}.{GROUP}", "labels": labels(NAME)},
        "spec": {
            "group": GROUP,
            "version": VERSION,
            # The last in line: of two kinds of one name kubectl takes that of the higher group.
            "groupPriorityMinimum": 100,
            "versionPriority": 10,
            "caBundle": base64.b64encode(authority.encode()).decode(),
            "service": {"name": NAME, "namespace": settings.system_namespace, "port": 443},
        },
    }


def address(url: str, authority: str, settings: Settings) -> list[Object]:
    """Returns where people find the collector's own address, and the right to read it, for everybody.

    Whoever may write this ConfigMap gets the tokens of those who believe it.
    """
    namespace = settings.system_namespace
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [CONFIGMAP], "verbs": ["get"]}]
    everybody = binding(ADDRESS_READER, namespace)
    everybody["subjects"] = [{"kind": "Group", "name": "system:authenticated", "apiGroup": "rbac.authorization.k8s.io"}]
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": CONFIGMAP, "namespace": namespace},
            "data": {"url": url, "ca.crt": authority},
        },
        role(ADDRESS_READER, namespace, rules),
        everybody,
    ]
