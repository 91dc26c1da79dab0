"""Promises of the resources: where things are in the API."""

import pytest

from toe.api.meta import ObjectMeta
from toe.api.pod import Pod
from toe.errors import InvalidError
from toe.kube.resource import EVENTS, NAMESPACES, PODS, POWERTOOLCONFIGS, POWERTOOLS, AnyResource

GROUP = "/apis/codriverlabs.ai.toe.run/v1alpha1"


@pytest.mark.parametrize(
    ("resource", "arguments", "path"),
    [
        (PODS, (), "/api/v1/pods"),
        (PODS, ("a",), "/api/v1/namespaces/a/pods"),
        (PODS, ("a", "b"), "/api/v1/namespaces/a/pods/b"),
        (PODS, ("a", "b", "ephemeralcontainers"), "/api/v1/namespaces/a/pods/b/ephemeralcontainers"),
        (NAMESPACES, (None, "a"), "/api/v1/namespaces/a"),
        (NAMESPACES, ("ignored", "a"), "/api/v1/namespaces/a"),
        (EVENTS, ("a",), "/api/v1/namespaces/a/events"),
        (POWERTOOLS, ("a", "b", "status"), f"{GROUP}/namespaces/a/powertools/b/status"),
        (POWERTOOLCONFIGS, (), f"{GROUP}/powertoolconfigs"),
    ],
)
def test_paths_are_those_of_the_api(resource: AnyResource, arguments: tuple[str | None, ...], path: str) -> None:
    """Collections, objects and subresources are where Kubernetes has them."""
    assert resource.path(*arguments) == path


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a%2fb", "a?b", "a#b", "a b", "a\n", "ä"])
def test_a_name_cannot_leave_its_place_in_the_path(name: str) -> None:
    """No name and no namespace, whoever wrote it, makes a request for something else: InvalidError."""
    with pytest.raises(InvalidError, match="cannot be the name"):
        PODS.path("a", name)
    with pytest.raises(InvalidError, match="cannot be the name"):
        PODS.path(name, "a")


def test_a_reference_names_the_object_and_its_life() -> None:
    """References carry kind, version, name and uid."""
    pod = Pod(metadata=ObjectMeta(name="p", namespace="n", uid="u", resource_version="3"))
    reference = PODS.reference(pod, field_path="spec.containers{c}")
    assert (reference.api_version, reference.kind, reference.namespace, reference.name) == ("v1", "Pod", "n", "p")
    assert (reference.uid, reference.resource_version, reference.field_path) == ("u", "3", "spec.containers{c}")
