"""The collector as it is installed: its account, its pods, its address, and the keys that tickets are signed with.

Its account reads runs and configs, asks who may download, and tells events. It can neither inject nor write a status:
what it knows of a run's files, the run's own supervisor says too.
"""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from charts.certificates import Pair
from charts.operator import READ, binding, cluster_binding, cluster_role, deployment, labels, probes, role
from toe.api.fence.policy import COLLECTOR
from toe.api.meta import GROUP
from toe.api.settings import Settings
from toe.controller.tickets import key_id

Object = dict[str, Any]

CLAIM = "toe-artifacts"
TLS_SECRET = "toe-collector-tls"  # noqa: S105 the name of one
CA_CONFIG = "toe-collector-ca"
TICKET_SECRET = "toe-ticket-signing-key"  # noqa: S105 the name of one
TICKET_CONFIG = "toe-ticket-keys"
TICKET_KEY = "ticket.key"
PORT = 8443
STORE = "/artifacts/files"
"""A directory of toe's own on the claim: what is mounted belongs to root as a rule, and its mode is not ours."""

RULES: list[Object] = [
    {"apiGroups": [GROUP], "resources": ["powertools"], "verbs": READ},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
    {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
    {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
]
RULES_HERE: list[Object] = [{"apiGroups": [GROUP], "resources": ["powertoolconfigs"], "verbs": READ}]


def names(settings: Settings) -> tuple[str, ...]:
    """Returns the DNS names under which supervisors reach it, the one that they are told first."""
    full = f"{COLLECTOR}.{settings.system_namespace}.svc"
    return full, f"{full}.cluster.local"


def endpoint(settings: Settings) -> str:
    """Returns its address, as tools are told it and the fence compares it."""
    return f"https://{names(settings)[0]}"


def account(settings: Settings) -> list[Object]:
    """Returns its account with its rights."""
    namespace = settings.system_namespace
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": COLLECTOR, "namespace": namespace}},
        cluster_role(COLLECTOR, RULES),
        cluster_binding(COLLECTOR, namespace),
        role(COLLECTOR, namespace, RULES_HERE),
        binding(COLLECTOR, namespace),
    ]


def keys(settings: Settings) -> list[Object]:
    """Returns a fresh key for tickets: the private half for the controller, the public one, under its id, for us."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    namespace = settings.system_namespace
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {"name": TICKET_SECRET, "namespace": namespace},
            "stringData": {TICKET_KEY: private},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": TICKET_CONFIG, "namespace": namespace},
            "data": {f"{key_id(key.public_key())}.pem": public},
        },
    ]


def certificates(pair: Pair, settings: Settings) -> list[Object]:
    """Returns its certificate, and what it is trusted by for the controller, which tells every tool."""
    namespace = settings.system_namespace
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": TLS_SECRET, "namespace": namespace},
            "stringData": {"tls.crt": pair.certificate, "tls.key": pair.key},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": CA_CONFIG, "namespace": namespace},
            "data": {"ca.crt": pair.authority},
        },
    ]


def collector(image: str, settings: Settings) -> list[Object]:
    """Returns its Deployment and Service; files are kept on the claim ``toe-artifacts``."""
    container = {
        "name": "collector",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [
            "collector",
            f"--system-namespace={settings.system_namespace}",
            f"--profile={settings.profile}",
            f"--port={PORT}",
            f"--store={STORE}",
            "--scratch=/scratch/partials",
            "--ticket-keys=/ticket-keys",
            "--tls-cert=/tls/tls.crt",
            "--tls-key=/tls/tls.key",
        ],
        "ports": [{"name": "collector", "containerPort": PORT}],
        "volumeMounts": [
            {"name": "tls", "mountPath": "/tls", "readOnly": True},
            {"name": "ticket-keys", "mountPath": "/ticket-keys", "readOnly": True},
            {"name": "artifacts", "mountPath": "/artifacts"},
            {"name": "scratch", "mountPath": "/scratch"},
        ],
        **probes("collector", "HTTPS"),
    }
    volumes: list[Object] = [
        {"name": "tls", "secret": {"secretName": TLS_SECRET, "defaultMode": 0o440}},
        {"name": "ticket-keys", "configMap": {"name": TICKET_CONFIG}},
        {"name": "artifacts", "persistentVolumeClaim": {"claimName": CLAIM}},
        {"name": "scratch", "emptyDir": {}},
    ]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": COLLECTOR, "namespace": settings.system_namespace},
        "spec": {
            "selector": labels(COLLECTOR),
            "sessionAffinity": "ClientIP",  # what came of a file is on the replica that it came to
            "ports": [{"port": 443, "targetPort": "collector"}],
        },
    }
    return [deployment(COLLECTOR, settings, container, volumes), service]


def controller_flags(settings: Settings) -> tuple[list[str], list[Object], list[Object]]:
    """Returns what the controller needs to know of it: flags, volume mounts and volumes."""
    flags = [
        f"--collector={endpoint(settings)}",
        "--collector-ca=/collector/ca.crt",
        f"--ticket-key=/ticket/{TICKET_KEY}",
    ]
    mounts: list[Object] = [
        {"name": "collector", "mountPath": "/collector", "readOnly": True},
        {"name": "ticket", "mountPath": "/ticket", "readOnly": True},
    ]
    volumes: list[Object] = [
        {"name": "collector", "configMap": {"name": CA_CONFIG}},
        {"name": "ticket", "secret": {"secretName": TICKET_SECRET, "defaultMode": 0o440}},
    ]
    return flags, mounts, volumes
