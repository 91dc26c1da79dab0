"""Promises of sharing: objects stay equal to what they were and take less memory."""

import hypothesis.strategies as st
import msgspec
from hypothesis import given

from toe.api.pod import Pod
from toe.api.powertool import PowerTool
from toe.kube.resource import Namespace
from toe.kube.sharing import REMEMBERED, Sharing


def a_pod(name: str, image: str = "i", labels: dict[str, str] | None = None) -> Pod:
    meta = {"name": name, "labels": {"app": "x"} if labels is None else labels, "resourceVersion": "1"}
    spec = {"containers": [{"name": "c", "image": image}], "volumes": [{"name": "v"}]}
    return msgspec.convert({"metadata": meta, "spec": spec}, Pod)


def test_equal_parts_become_one() -> None:
    """Two pods of one template share containers, volumes and labels; their names stay their own."""
    sharing = Sharing(Pod)
    first, second, other = a_pod("a"), a_pod("b"), a_pod("c", image="other", labels={"app": "y"})
    for pod in (first, second, other):
        sharing.share(pod)
    assert first.spec.containers is second.spec.containers
    assert first.spec.volumes is second.spec.volumes
    assert first.metadata.labels is second.metadata.labels
    assert (first.metadata.name, second.metadata.name) == ("a", "b")
    assert other.spec.containers is not first.spec.containers
    assert other.metadata.labels == {"app": "y"}


@given(st.lists(st.tuples(st.sampled_from("ij"), st.dictionaries(st.sampled_from("kl"), st.sampled_from("mn")))))
def test_nothing_else_changes(pods: list[tuple[str, dict[str, str]]]) -> None:
    """Whatever is shared with whatever, each object is still equal to itself before."""
    sharing = Sharing(Pod)
    for image, labels in pods:
        pod = a_pod("p", image, labels)
        sharing.share(pod)
        assert pod == a_pod("p", image, labels)


def test_what_is_remembered_is_bounded() -> None:
    """A cluster with ever new templates does not fill the memory."""
    sharing = Sharing(Pod)
    for number in range(REMEMBERED):
        sharing.share(a_pod("p", image=str(number)))
    assert len(sharing._seen) <= REMEMBERED


def test_every_kind_can_be_shared() -> None:
    """Types with few, with optional and with unhashable parts are all taken."""
    tool = {"name": "t", "namespace": "n", "annotations": {"a": "b"}}
    for kind in (Namespace, PowerTool):
        assert dict(Sharing(kind)._parts)["metadata"] == ("labels", "annotations", "owner_references")
    first, second = (msgspec.convert({"metadata": tool}, Namespace) for _ in range(2))
    sharing = Sharing(Namespace)
    sharing.share(first)
    sharing.share(second)
    assert first.metadata.annotations is second.metadata.annotations


class Part(msgspec.Struct, frozen=True):
    things: tuple[dict[str, str], ...] = ()


class Whole(msgspec.Struct, frozen=True):
    part: Part | None = None
    number: int = 0


def test_what_cannot_be_compared_is_left_alone() -> None:
    """Unhashable values and missing parts stay as they are."""
    sharing = Sharing(Whole)
    first, second = Whole(Part(({"a": "b"},))), Whole(Part(({"a": "b"},)))
    for whole in (first, second, Whole()):
        sharing.share(whole)
    assert first == second
    assert first.part is not None
    assert second.part is not None
    assert first.part.things is not second.part.things
    assert Sharing(int)._parts == []
