"""Which bytes of a file are wanted: ``Range``, ``If-Range`` and the conditions on its ETag. Pure.

Source: RFC 9110, sections 13 and 14
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from toe.collector.refusals import RefusedError

_ONE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*")


class Span(NamedTuple):
    """Is the bytes from ``start`` up to ``end``, not included, of ``size``; ``partial`` when they were asked for."""

    start: int
    end: int
    size: int
    partial: bool = False

    @property
    def length(self) -> int:
        """Is how many bytes it has."""
        return self.end - self.start

    @property
    def content_range(self) -> str:
        """Is the header of an answer with a part."""
        return f"bytes {self.start}-{self.end - 1}/{self.size}"


def wanted(headers: Mapping[str, str], size: int, tag: str) -> Span | None:
    """Returns which bytes to send; None when the person has them already (304).

    RefusedError 412 when he holds on to other content, 416 for a range that is not there, for several, and for what
    is no range. A unit that is not bytes is passed over, as is a range under an If-Range that does not hold.
    """
    if (match := headers.get("If-Match")) is not None and not _holds(match, tag, weak=False):
        raise RefusedError(412, "the artifact is not the one that is expected (If-Match)")
    if (none := headers.get("If-None-Match")) is not None and _holds(none, tag, weak=True):
        return None
    stated = headers.get("Range")
    if stated is None or not stated.lower().startswith("bytes=") or headers.get("If-Range", tag) != tag:
        return Span(0, size, size)
    found = _ONE.fullmatch(stated.lower())
    if found is None or not (found[1] or found[2]):
        raise _unsatisfiable(size)
    if not found[1]:
        start, end = max(size - int(found[2]), 0), size
    else:
        start, end = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
        if found[2] and int(found[2]) < start:
            raise _unsatisfiable(size)
    if start >= end:
        raise _unsatisfiable(size)
    return Span(start, end, size, partial=True)


def _holds(listed: str, tag: str, *, weak: bool) -> bool:
    found = [word.strip() for word in listed.split(",")]
    return "*" in found or tag in ([word.removeprefix("W/") for word in found] if weak else found)


def _unsatisfiable(size: int) -> RefusedError:
    return RefusedError(
        416,
        f"one range of the artifact's {size} bytes is wanted: bytes=FIRST-LAST, bytes=FIRST- or bytes=-COUNT",
        headers={"Content-Range": f"bytes */{size}"},
    )
