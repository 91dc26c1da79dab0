"""Promises of decoding: nothing a server sends raises anything but what is expected."""

from contextlib import suppress

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import example, given

from toe.api.pod import Pod
from toe.kube.resource import PODS
from toe.kube.status import refusal
from toe.kube.wire import UNREADABLE, identify, not_understood


@given(st.binary())
@example(b'{"metadata":{"name":"\xff"}}')
@example(b'{"x":' + b"[" * 100_000)
@example(b'{"metadata":{"resourceVersion":"\xc2\xb2"}}')
@example(b"")
def test_any_bytes_are_survived(body: bytes) -> None:
    """Whatever bytes come, decoding raises one of the expected errors, and a refusal can be made of them."""
    assert refusal(500, body).status == 500
    identify(body)
    with suppress(*UNREADABLE):
        msgspec.json.decode(body, type=Pod)
    assert not_understood(PODS, body, ValueError()).source.startswith("Pod")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"metadata":{"name":"a","namespace":"n"},"spec":7}', "Pod n/a: spec: Expected `object`, got `int`"),
        (b'{"metadata":{"name":"a"},"spec":{"containers":[{}]}}', "Pod a: spec.containers[0]: Object missing"),
        (b"[]", "Pod: Expected `object`, got `array`"),
        (b"{", "Pod: Input data was truncated"),
    ],
)
def test_the_object_and_its_field_are_named(body: bytes, text: str) -> None:
    """The error says which object and which field, as far as they can be read."""
    with pytest.raises(UNREADABLE) as caught:
        msgspec.json.decode(body, type=Pod)
    assert str(not_understood(PODS, body, caught.value)).startswith(text)


def test_an_object_is_identified_by_its_metadata_alone() -> None:
    """Name, namespace and version are read of anything; a version that is no number counts as unreadable."""
    meta = identify(b'{"metadata":{"name":"a","namespace":"n","resourceVersion":"7"},"spec":7}')
    assert meta is not None
    assert (meta.name, meta.namespace, meta.resource_version) == ("a", "n", "7")
    assert identify(b'{"metadata":{"resourceVersion":"x"}}') is None
    assert identify(b"7") is None
