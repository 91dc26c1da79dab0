"""Which kinds toe talks to, where they live in the API, and which projection each is read into."""

from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from toe.api.meta import GROUP, VERSION, ObjectMeta, ObjectReference, Struct
from toe.api.pod import Pod
from toe.api.powertool import PowerTool
from toe.api.powertoolcatalog import PowerToolCatalog
from toe.api.powertoolconfig import PowerToolConfig
from toe.errors import InvalidError


class Named(Protocol):
    """Is anything that carries Kubernetes metadata."""

    @property
    def metadata(self) -> ObjectMeta:
        """Is the object's metadata."""
        ...


T = TypeVar("T", bound=Named)


@dataclass(frozen=True, slots=True)
class Resource(Generic[T]):
    """Names one collection of the API and the type its objects are decoded into.

    ``group`` is empty for the core group.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    type: type[T]

    @property
    def api_version(self) -> str:
        """Is ``apiVersion`` as manifests write it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Is the URL path of a collection, an object or its subresource.

        Without a namespace a namespaced kind means the collection over all namespaces. Raises InvalidError for a name
        that cannot be one segment of a path; no object can be called that.
        Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#path-segment-names
        """
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", segment(namespace)]
        parts.append(self.plural)
        if name is not None:
            parts.append(segment(name))
        if subresource is not None:
            parts.append(subresource)
        return "/".join(parts)

    def reference(self, obj: T, *, field_path: str = "") -> ObjectReference:
        """Points at ``obj``, for Events."""
        meta = obj.metadata
        return ObjectReference(
            api_version=self.api_version,
            kind=self.kind,
            namespace=meta.namespace,
            name=meta.name,
            uid=meta.uid,
            resource_version=meta.resource_version,
            field_path=field_path,
        )


_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:")


def segment(name: str) -> str:
    """Returns ``name`` unchanged if it can stand between two slashes of a URL, else raises InvalidError."""
    if name in ("", ".", "..") or not _SAFE.issuperset(name):
        raise InvalidError(f"{name!r} cannot be the name of an object", status=400, reason="BadRequest")
    return name


class Namespace(Struct, frozen=True):
    """Is the slice of a Namespace that toe reads: its labels decide what may run in it."""

    metadata: ObjectMeta


class Event(Struct, frozen=True):
    """Is the slice of a core/v1 Event that toe reads."""

    metadata: ObjectMeta
    involved_object: ObjectReference = ObjectReference()
    reason: str = ""
    message: str = ""
    type: str = ""
    count: int = 0
    first_timestamp: str | None = None
    last_timestamp: str | None = None
    reporting_component: str = ""


class AdmissionPolicy(Struct, frozen=True):
    """Is a ValidatingAdmissionPolicy or its binding, whole: whether it is the one that was generated is asked of it."""

    metadata: ObjectMeta
    spec: dict[str, Any] = msgspec.field(default_factory=dict)


class LeaseSpec(Struct, frozen=True):
    """Says who holds a Lease, and since when; times are RFC 3339 with microseconds."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class Lease(Struct, frozen=True):
    """Is the slice of a Lease that an election needs."""

    spec: LeaseSpec = LeaseSpec()
    metadata: ObjectMeta = ObjectMeta()


LEASES: Resource[Lease] = Resource("coordination.k8s.io", "v1", "leases", "Lease", True, Lease)
PODS: Resource[Pod] = Resource("", "v1", "pods", "Pod", True, Pod)
NAMESPACES: Resource[Namespace] = Resource("", "v1", "namespaces", "Namespace", False, Namespace)
EVENTS: Resource[Event] = Resource("", "v1", "events", "Event", True, Event)
POWERTOOLS: Resource[PowerTool] = Resource(GROUP, VERSION, "powertools", "PowerTool", True, PowerTool)
POWERTOOLCONFIGS: Resource[PowerToolConfig] = Resource(
    GROUP, VERSION, "powertoolconfigs", "PowerToolConfig", True, PowerToolConfig
)

POWERTOOLCATALOGS: Resource[PowerToolCatalog] = Resource(
    GROUP, VERSION, "powertoolcatalogs", "PowerToolCatalog", True, PowerToolCatalog
)
POLICIES: Resource[AdmissionPolicy] = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicies",
    "ValidatingAdmissionPolicy",
    False,
    AdmissionPolicy,
)
POLICY_BINDINGS: Resource[AdmissionPolicy] = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
    False,
    AdmissionPolicy,
)

AnyResource = Resource[Any]
