"""Exactly the bytes that were asked for, or a refusal that says how to ask."""

import pytest

from toe.collector.ranges import Span, wanted
from toe.collector.refusals import RefusedError

TAG = '"abc"'


def _wanted(size: int = 100, **headers: str) -> Span | None:
    return wanted({name.replace("_", "-"): value for name, value in headers.items()}, size, TAG)


@pytest.mark.parametrize(
    ("stated", "start", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=90-", 90, 100),
        ("bytes=-10", 90, 100),
        ("bytes=-1000", 0, 100),
        ("bytes=0-0", 0, 1),
        ("bytes=99-99", 99, 100),
        ("bytes=50-5000", 50, 100),
        ("Bytes= 0-9 ", 0, 10),
    ],
)
def test_one_range_is_given(stated: str, start: int, end: int) -> None:
    """First and last, from one on, or the last so many; what is beyond the end is cut."""
    span = _wanted(Range=stated)
    assert span == Span(start, end, 100, partial=True)
    assert span is not None
    assert span.content_range == f"bytes {start}-{end - 1}/100"


@pytest.mark.parametrize(
    "stated",
    [
        "bytes=100-",
        "bytes=100-200",
        "bytes=9-0",
        "bytes=-0",
        "bytes=-",
        "bytes=",
        "bytes=a-b",
        "bytes=0-9,20-29",
        "bytes=" + ",".join("0-" for _ in range(1000)),
        "bytes=--5",
        "bytes=-5-",
        "bytes=0x0-0x9",
        "bytes=" + "9" * 40 + "-",
        "bytes=\u0660-\u0669",
    ],
)
def test_any_other_range_is_refused(stated: str) -> None:
    """416 with the size, so that the next one can be right."""
    with pytest.raises(RefusedError) as refused:
        _wanted(Range=stated)
    assert refused.value.status == 416
    assert refused.value.headers == {"Content-Range": "bytes */100"}


def test_no_range_of_nothing_can_be_had() -> None:
    """An empty file is had whole."""
    assert _wanted(0) == Span(0, 0, 0)
    with pytest.raises(RefusedError, match="0 bytes"):
        _wanted(0, Range="bytes=0-")


@pytest.mark.parametrize("stated", ["lines=0-9", "0-9", ""])
def test_what_is_no_range_of_bytes_is_passed_over(stated: str) -> None:
    """As RFC 9110 wants it: everything is sent."""
    assert _wanted(Range=stated) == Span(0, 100, 100)


@pytest.mark.parametrize(
    ("condition", "partial"), [(TAG, True), ('"other"', False), (f"W/{TAG}", False), ("Wed", False)]
)
def test_a_range_counts_only_of_the_content_it_was_asked_of(condition: str, partial: bool) -> None:
    """If-Range holds for exactly our tag; else everything is sent."""
    span = _wanted(Range="bytes=0-9", If_Range=condition)
    assert span is not None
    assert span.partial is partial


@pytest.mark.parametrize("condition", [TAG, f"W/{TAG}", f'"x", {TAG}', "*"])
def test_what_somebody_has_is_not_sent_again(condition: str) -> None:
    """304, for a weak comparison too."""
    assert _wanted(If_None_Match=condition) is None
    assert _wanted(If_None_Match='"x"') == Span(0, 100, 100)


@pytest.mark.parametrize("condition", ['"x"', f"W/{TAG}", ""])
def test_content_that_somebody_does_not_expect_is_not_sent(condition: str) -> None:
    """412; a weak tag promises nothing about bytes."""
    with pytest.raises(RefusedError) as refused:
        _wanted(If_Match=condition)
    assert refused.value.status == 412
    assert _wanted(If_Match=f'"x", {TAG}') == _wanted(If_Match="*") == Span(0, 100, 100)
