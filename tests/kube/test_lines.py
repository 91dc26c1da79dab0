"""Promises of the line splitter."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from toe.errors import UnavailableError
from toe.kube.lines import Lines

TEXT = b'{"type":"ADDED"}\n\n{"type":"MODIFIED","object":{}}\n' + b"x" * 100 + b"\nlast"


@pytest.mark.parametrize("cut", range(len(TEXT) + 1))
def test_a_cut_at_any_byte_changes_nothing(cut: int) -> None:
    """Wherever a chunk ends, the same lines come out."""
    lines = Lines()
    got = lines.feed(TEXT[:cut]) + lines.feed(TEXT[cut:])
    assert got == [line for line in TEXT.split(b"\n")[:-1] if line]
    assert lines.rest() == b"last"


@given(st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"x", b"\n"))))
def test_any_chunks_give_the_lines_of_their_sum(chunks: list[bytes]) -> None:
    """Any way of cutting gives the lines of the whole."""
    lines = Lines()
    got = [line for chunk in chunks for line in lines.feed(chunk)]
    whole = b"".join(chunks).split(b"\n")
    assert got == [line for line in whole[:-1] if line]
    assert lines.rest() == whole[-1]


def test_a_line_of_many_megabytes_is_joined_once() -> None:
    """A line far longer than any buffer comes out whole."""
    lines = Lines()
    for _ in range(512):
        assert lines.feed(b"y" * 16384) == []
    assert lines.feed(b"\n") == [b"y" * 16384 * 512]


def test_an_endless_line_is_refused() -> None:
    """A stream without line ends does not eat all memory: UnavailableError."""
    lines = Lines(longest=1000)
    for _ in range(10):
        lines.feed(b"z" * 100)
    with pytest.raises(UnavailableError, match="more than 1000 bytes"):
        lines.feed(b"z")
