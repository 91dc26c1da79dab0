"""The whole fence: every object, in the order in which it is installed."""

from toe.api.fence import accounts, catalog, deletion, names, namespaces, requester
from toe.api.fence.policy import Object
from toe.api.settings import Profile, Settings


def fence(settings: Settings, profile: Profile = "standard", *, stamped: bool = False) -> tuple[Object, ...]:
    """Returns policies and bindings: all policies first, then the bindings that put them in force.

    Before them the CRD of the catalog must be established and the empty catalog made (:func:`parameter`), else nobody
    can add an ephemeral container. The profile says which namespaces are covered: under ``hardened`` those labelled
    ``toe.run/tools=enabled``, else all that are not protected. ``stamped`` adds the check that ``spec.requester`` is
    the caller; the stamp itself (:func:`toe.api.fence.requester.stamp`) is apart, since it needs Kubernetes 1.36.
    """
    every = [
        catalog.policy(settings, profile),
        accounts.uncovered(settings, profile),
        accounts.token(settings),
        accounts.mint(settings),
        accounts.writers(settings),
        names.entry(),
        namespaces.labels(settings),
        namespaces.place(settings),
        deletion.deletion(settings),
        *([requester.use(settings)] if settings.require_use == "Low" else []),
        *([requester.twin()] if stamped else []),
    ]
    return (*(policy for policy, *_ in every), *(binding for _, *bindings in every for binding in bindings))


def parameter(settings: Settings) -> tuple[Object, Object]:
    """Returns what is installed before the fence, in this order: the catalog's CRD, and the empty catalog."""
    return catalog.custom_resource_definition(), catalog.empty_catalog(settings)
