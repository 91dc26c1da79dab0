"""What toe's accounts are for: every right they hold, so that one more is found.

The roles that are installed say the same; a test compares them.
"""

from collections.abc import Iterable

import msgspec

from toe.api.fence.policy import APISERVER, COLLECTOR, CONTROLLER, WEBHOOK
from toe.api.meta import GROUP, ObjectMeta, Struct
from toe.api.powertoolcatalog import NAME as CATALOG
from toe.api.powertoolcatalog import PLURAL as CATALOGS
from toe.api.settings import Settings

_ADMISSION, _REVIEWS = "admissionregistration.k8s.io", "authorization.k8s.io"
_READ = ("get", "list", "watch")


class RoleRule(Struct, frozen=True):
    """Is one rule of a Role or ClusterRole."""

    api_groups: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    resource_names: tuple[str, ...] | None = None
    verbs: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] | None = msgspec.field(name="nonResourceURLs", default=None)


class Role(Struct, frozen=True):
    """Is a Role, or a ClusterRole, which has no namespace."""

    metadata: ObjectMeta
    rules: tuple[RoleRule, ...] | None = None


class RoleSubject(Struct, frozen=True):
    """Is who a role is bound to."""

    kind: str
    name: str
    namespace: str = ""


class RoleRef(Struct, frozen=True):
    """Names the role that is bound."""

    kind: str
    name: str


class RoleBinding(Struct, frozen=True):
    """Is a RoleBinding, or a ClusterRoleBinding, which has no namespace."""

    metadata: ObjectMeta
    role_ref: RoleRef
    subjects: tuple[RoleSubject, ...] | None = None


class Rbac(Struct, frozen=True):
    """Is every role and binding of a cluster."""

    roles: tuple[Role, ...] = ()
    bindings: tuple[RoleBinding, ...] = ()

    def rules_of(self, binding: RoleBinding) -> tuple[RoleRule, ...]:
        """Returns what a binding gives; nothing where its role is not there."""
        namespace = binding.metadata.namespace if binding.role_ref.kind == "Role" else ""
        wanted = (namespace, binding.role_ref.name)
        return next((role.rules or () for role in self.roles if role.metadata.key == wanted), ())


class Duty(Struct, frozen=True):
    """Is one right that an account has: verbs on a resource."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    why: str
    """What the account does with it, for who has to grant it."""
    names: tuple[str, ...] = ()
    is_local: bool = False
    """In the system namespace only."""


_SCRAPERS = Duty(
    "authentication.k8s.io", "tokenreviews", ("create",), "who asks for metrics, or for files with a token"
)
_TELLS = Duty("", "events", ("create", "patch"), "events on runs, tools and pods; patch counts one that comes again")
_READS_CONFIGS = "the tools, in this namespace only"
_SELF = "what one may oneself; Kubernetes gives it to all"


def _asks(why: str) -> Duty:
    return Duty(_REVIEWS, "subjectaccessreviews", ("create",), why)


DUTIES: dict[str, tuple[Duty, ...]] = {
    CONTROLLER: (
        Duty(GROUP, "powertools", _READ, "the runs that people ask for"),
        Duty(GROUP, "powertoolconfigs", _READ, "the tools; one in a wrong namespace is told so in its status"),
        Duty(GROUP, "powertools/status", ("patch",), "what became of a run"),
        Duty(GROUP, "powertoolconfigs/status", ("patch",), "whether a tool is usable, its tier and findings"),
        Duty("", "pods", _READ, "the pods that a run means, who their containers are, and how its tools end"),
        Duty("", "namespaces", _READ, "labels that open a namespace for tools, and its Pod Security level"),
        Duty("", "pods/ephemeralcontainers", ("patch",), "adds a tool's container; the fence bounds what it may be"),
        _TELLS,
        _asks("whether who asked for a run may use its tool, right before each injection; who may read metrics"),
        Duty(_ADMISSION, "validatingadmissionpolicies", _READ, "whether the fence is whole; else nothing is injected"),
        Duty(_ADMISSION, "validatingadmissionpolicybindings", _READ, "the same of its bindings"),
        _SCRAPERS,
        Duty(
            "coordination.k8s.io",
            "leases",
            ("get", "patch"),
            "says which controller works",
            (CONTROLLER,),
            is_local=True,
        ),
        Duty(
            "coordination.k8s.io",
            "leases",
            ("create",),
            "makes that Lease, once; no name can be asked for: there is none yet",
            is_local=True,
        ),
    ),
    WEBHOOK: (
        Duty("", "pods", _READ, "the pods that a run would mean, so that its creation is refused at once"),
        Duty("", "namespaces", _READ, "labels that open a namespace for tools, and its Pod Security level"),
        _asks("whether who creates a run may use its tool; who may read metrics"),
        _SCRAPERS,
        Duty(GROUP, "powertoolconfigs", _READ, _READS_CONFIGS, is_local=True),
        Duty(GROUP, CATALOGS, _READ, "the catalog, to see whether it is what the configs say", is_local=True),
        Duty(GROUP, CATALOGS, ("patch",), "writes it, and no other", (CATALOG,), is_local=True),
        Duty(
            GROUP, f"{CATALOGS}/status", ("patch",), "whether it says what the configs say", (CATALOG,), is_local=True
        ),
        Duty(
            GROUP,
            CATALOGS,
            ("create",),
            "makes it where it is missing; no name can be asked for: there is none yet",
            is_local=True,
        ),
    ),
    COLLECTOR: (
        Duty(GROUP, "powertools", _READ, "whether a run is on: no upload and no lease without one"),
        Duty(GROUP, "powertoolconfigs", _READ, f"{_READS_CONFIGS}: a suspended one ends its leases", is_local=True),
        _TELLS,
        _asks("who may fetch files where it serves people itself; who may read metrics"),
        _SCRAPERS,
    ),
    APISERVER: (
        _asks("whether who asks may have that file; who may read metrics"),
        _SCRAPERS,
        Duty(
            "",
            "configmaps",
            _READ,
            "how the API server is told from others; by Kubernetes' own role in kube-system",
            ("extension-apiserver-authentication",),
        ),
    ),
}
"""By account; every other account of the system namespace has none."""

EVERYBODY: tuple[Duty, ...] = (
    *(Duty(_REVIEWS, f"selfsubject{kind}reviews", ("create",), _SELF) for kind in ("access", "rules")),
    Duty("authentication.k8s.io", "selfsubjectreviews", ("create",), _SELF),
    Duty("certificates.k8s.io", "clustertrustbundles", _READ, "public certificates; since Kubernetes 1.37"),
    Duty(
        "",
        "configmaps",
        ("get",),
        "where files are fetched without the artifacts API",
        ("toe-downloads",),
        is_local=True,
    ),
    *(
        Duty(GROUP, kind, _READ, "where somebody lets everybody read them")
        for kind in ("powertools", "powertoolconfigs", CATALOGS)
    ),
)
"""What whoever is authenticated may have; toe's accounts are."""


def excess(rbac: Rbac, settings: Settings) -> tuple[str, ...]:
    """Lists every right of an account of the system namespace that is none of its duties, with the binding."""
    found: list[str] = []
    for binding in rbac.bindings:
        for subject in binding.subjects or ():
            if (whose := _whose(subject, settings)) is None:
                continue
            name, duties = whose
            for rule in rbac.rules_of(binding):
                for right in _beyond(rule, (*duties, *EVERYBODY), binding.metadata.namespace, settings):
                    found.append(f"{name}: {right}, by {_named(binding)}")
    return tuple(dict.fromkeys(found))


def _named(binding: RoleBinding) -> str:
    namespace = binding.metadata.namespace
    where = f"RoleBinding {namespace}/" if namespace else "ClusterRoleBinding "
    return f"{where}{binding.metadata.name}"


def _whose(subject: RoleSubject, settings: Settings) -> tuple[str, tuple[Duty, ...]] | None:
    system = settings.system_namespace
    if subject.kind == "ServiceAccount" and subject.namespace == system:
        return subject.name, DUTIES.get(subject.name, ())
    prefix = f"system:serviceaccount:{system}:"
    if subject.kind == "User" and subject.name.startswith(prefix):
        name = subject.name.removeprefix(prefix)
        return name, DUTIES.get(name, ())
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{system}", "system:authenticated")
    if subject.kind == "Group" and subject.name in groups:
        return f"every account of {system}", ()
    return None


def _beyond(rule: RoleRule, duties: Iterable[Duty], namespace: str, settings: Settings) -> Iterable[str]:
    for group in rule.api_groups or ():
        for resource in rule.resources or ():
            verbs = [
                verb
                for verb in rule.verbs
                if not any(_covers(duty, group, resource, verb, rule, namespace, settings) for duty in duties)
            ]
            if verbs:
                yield f"{', '.join(verbs)} on {resource}{f'.{group}' if group else ''}"


def _covers(
    duty: Duty, group: str, resource: str, verb: str, rule: RoleRule, namespace: str, settings: Settings
) -> bool:
    names = set(rule.resource_names or ())
    return (
        (duty.group, duty.resource) == (group, resource)
        and verb in duty.verbs
        and (not duty.names or (bool(names) and names <= set(duty.names)))
        and (not duty.is_local or namespace == settings.system_namespace)
    )
