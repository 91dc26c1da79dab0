"""The fence does not lose its parameter: without the catalog nobody could add an ephemeral container any more."""

from toe.api.fence.policy import Object, Refusal, listed, own, quoted, rule, validating
from toe.api.meta import GROUP
from toe.api.powertoolcatalog import NAME, PLURAL
from toe.api.settings import Settings

NAMESPACE_CONTROLLER = "system:serviceaccount:kube-system:namespace-controller"
"""Empties a namespace that is being deleted; refusing it would make the deletion hang."""


def deletion(settings: Settings) -> tuple[Object, Object]:
    """Returns the policy that refuses to delete the catalog, its CRD or the system namespace while the fence stands."""
    kept = (
        f"(request.resource.resource == {quoted(PLURAL)} && oldObject.metadata.name == {quoted(NAME)} "
        f"&& request.namespace == {quoted(settings.system_namespace)}) || "
        f"(request.resource.resource == 'customresourcedefinitions' "
        f"&& oldObject.metadata.name in {listed([f'{PLURAL}.{GROUP}'])}) || "
        f"(request.resource.resource == 'namespaces' && oldObject.metadata.name == {quoted(settings.system_namespace)})"
    )
    return validating(
        "deletion",
        [
            own([PLURAL], "DELETE"),
            rule("apiextensions.k8s.io", ["customresourcedefinitions"], "DELETE"),
            rule("", ["namespaces"], "DELETE"),
        ],
        [
            Refusal(
                "false",
                "this is what the fence reads, and without it nobody can add an ephemeral container to any pod: "
                "delete the policy bindings of the fence first (label app.kubernetes.io/part-of=toe)",
            )
        ],
        only={
            "kept": kept,
            "not-the-namespace-controller": f"request.userInfo.username != {quoted(NAMESPACE_CONTROLLER)}",
        },
    )
