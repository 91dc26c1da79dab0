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
    names: tuple[str, ...] = ()
    is_local: bool = False
    """In the system namespace only."""


_SCRAPERS = Duty("authentication.k8s.io", "tokenreviews", ("create",))
"""Whoever asks for metrics, or for files, shows a token."""

DUTIES: dict[str, tuple[Duty, ...]] = {
    CONTROLLER: (
        Duty(GROUP, "powertools", _READ),
        Duty(GROUP, "powertoolconfigs", _READ),
        Duty(GROUP, "powertools/status", ("patch",)),
        Duty(GROUP, "powertoolconfigs/status", ("patch",)),
        Duty("", "pods", _READ),
        Duty("", "namespaces", _READ),
        Duty("", "pods/ephemeralcontainers", ("patch",)),
        Duty("", "events", ("create", "patch")),
        Duty(_REVIEWS, "subjectaccessreviews", ("create",)),
        Duty(_ADMISSION, "validatingadmissionpolicies", _READ),
        Duty(_ADMISSION, "validatingadmissionpolicybindings", _READ),
        _SCRAPERS,
        Duty("coordination.k8s.io", "leases", ("get", "patch"), (CONTROLLER,), is_local=True),
        Duty("coordination.k8s.io", "leases", ("create",), is_local=True),
    ),
    WEBHOOK: (
        Duty("", "pods", _READ),
        Duty("", "namespaces", _READ),
        Duty(_REVIEWS, "subjectaccessreviews", ("create",)),
        _SCRAPERS,
        Duty(GROUP, "powertoolconfigs", _READ, is_local=True),
        Duty(GROUP, CATALOGS, _READ, is_local=True),
        Duty(GROUP, CATALOGS, ("patch",), (CATALOG,), is_local=True),
        Duty(GROUP, CATALOGS, ("create",), is_local=True),  # no name can be asked for: there is none yet
    ),
    COLLECTOR: (
        Duty(GROUP, "powertools", _READ),
        Duty(GROUP, "powertoolconfigs", _READ, is_local=True),
        Duty("", "events", ("create", "patch")),
        Duty(_REVIEWS, "subjectaccessreviews", ("create",)),
        _SCRAPERS,
    ),
    APISERVER: (
        Duty(_REVIEWS, "subjectaccessreviews", ("create",)),
        _SCRAPERS,
        Duty("", "configmaps", _READ, ("extension-apiserver-authentication",)),
    ),
}
"""By account; every other account of the system namespace has none."""

EVERYBODY: tuple[Duty, ...] = (
    *(Duty(_REVIEWS, f"selfsubject{kind}reviews", ("create",)) for kind in ("access", "rules")),
    Duty("authentication.k8s.io", "selfsubjectreviews", ("create",)),
    Duty("", "configmaps", ("get",), ("toe-downloads",), is_local=True),
    *(Duty(GROUP, kind, _READ) for kind in ("powertools", "powertoolconfigs", CATALOGS)),
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
