"""The files of a run, taken out of the log of its tool's container and checked.

The supervisor prints each file at the end of the log::

    #toe-begin {"v":1,"files":1,"bytes":5}
    #toe-file {"name":"a.txt","bytes":5,"sha256":"..."}
    #toe-data aGVsbG8=
    #toe-end {"name":"a.txt"}
    #toe-done {"files":1}

A line of the tool that begins like a frame arrives as ``#toe-text LINE``. The log of a compromised pod can say
anything: names are data and never paths, sizes are bounded, and a file counts only when its size and sha256 are as
announced.
"""

import base64
import binascii
import hashlib
from typing import TypeVar

import msgspec

from toe.api.meta import Struct
from toe.api.quantity import format_bytes
from toe.report.text import one_line

PREFIX = b"#toe-"
MOST_BYTES = 64 * 2**20
"""All files of one log together; the supervisor sends at most 4 MiB."""
MOST_FILES = 1000
MOST_PROBLEMS = 100
LONGEST_NAME = 512
LONGEST_PART = 255

T = TypeVar("T")


class File(Struct, frozen=True, gc=False):
    """Is one file that arrived whole. ``name`` has no ``..``, no leading ``/`` and no control character."""

    name: str
    content: bytes
    sha256: str


class Problem(Struct, frozen=True, gc=False):
    """Is one thing that did not arrive, and why; ``name`` is empty where no file is known."""

    message: str
    name: str = ""

    def __str__(self) -> str:
        """Is the sentence with the file in front, safe for a terminal."""
        return one_line(f"{self.name}: {self.message}" if self.name else self.message)


class Framed(Struct, frozen=True):
    """Is what a log holds. ``found`` is False for a log without any frame, as an unsupervised tool leaves it."""

    files: tuple[File, ...] = ()
    problems: tuple[Problem, ...] = ()
    found: bool = False


class _Begin(msgspec.Struct, frozen=True):
    v: int
    files: int = 0


class _Head(msgspec.Struct, frozen=True):
    name: str
    bytes: int = 0
    sha256: str = ""


class _End(msgspec.Struct, frozen=True):
    name: str = ""


class _Done(msgspec.Struct, frozen=True):
    files: int = 0


def unsafe(name: str) -> str:
    """Says why a name from a pod must not become a file below a directory; empty when it may."""
    if not name or len(name.encode(errors="replace")) > LONGEST_NAME:
        return f"a file's name has 1 to {LONGEST_NAME} bytes"
    if not name.isprintable():
        return "the name has control characters in it"
    if name.startswith("/") or "\\" in name:
        return "the name is a path that begins at a root"
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "the name has an empty part, '.' or '..' in it"
    if any(len(part.encode()) > LONGEST_PART for part in parts):
        return f"a part of the name is longer than {LONGEST_PART} bytes"
    return ""


class FrameReader:
    """Takes a log line by line, whatever is in it, and keeps the files that arrive whole."""

    def __init__(self, *, most_bytes: int = MOST_BYTES, most_files: int = MOST_FILES) -> None:
        self._most_bytes, self._most_files = most_bytes, most_files
        self._state = "text"
        self._files: dict[str, File] = {}
        self._problems: list[Problem] = []
        self._head: _Head | None = None  # None inside of a file that is passed over
        self._parts: list[bytes] = []
        self._size = 0
        self._total = 0
        self._heads = 0
        self._found = False

    def feed(self, line: bytes) -> bytes | None:
        """Takes one line without its newline; returns it as the tool printed it, None for a frame."""
        if not line.startswith(PREFIX):
            return line
        kind, _, content = line[len(PREFIX) :].partition(b" ")
        if kind == b"text":
            return content
        self._found = True
        match kind, self._state:
            case b"begin", "text":
                self._begin(content)
            case b"file", "between":
                self._file(content)
            case b"data", "inside":
                self._data(content)
            case b"end", "inside":
                self._end(content)
            case b"done", "between":
                self._done(content)
            case _, "over":
                pass  # the first cause has been told
            case _:
                self._stop(
                    "the frames are out of order: the log's beginning may be lost, or somebody else wrote into it"
                )
        return None

    def close(self) -> Framed:
        """Returns what arrived once the log has ended."""
        if self._found and self._state not in ("done", "over"):
            name = self._head.name if self._state == "inside" and self._head else ""
            self._complain("the log ends before the files do", name)
        return Framed(tuple(self._files.values()), tuple(self._problems), self._found)

    def _begin(self, content: bytes) -> None:
        begin = self._read(content, _Begin)
        if begin is None:
            return
        if begin.v != 1:
            self._stop(f"the files are framed in version {begin.v}, which this program does not know: upgrade it")
            return
        self._state = "between"

    def _file(self, content: bytes) -> None:
        head = self._read(content, _Head)
        if head is None:
            return
        self._state, self._parts, self._size = "inside", [], 0
        self._heads += 1
        self._head = None
        if why := self._refusal(head):
            self._complain(why, head.name[:LONGEST_NAME])
            return
        self._head = head

    def _refusal(self, head: _Head) -> str:
        if why := unsafe(head.name):
            return why
        if any(
            name == head.name or name.startswith(head.name + "/") or head.name.startswith(name + "/")
            for name in self._files
        ):
            return "a file of this name is there already"
        if self._heads > self._most_files:
            return f"more than {self._most_files} files"
        if not 0 <= head.bytes <= self._most_bytes - self._total:
            return f"more than {format_bytes(self._most_bytes)} in all"
        return ""

    def _data(self, content: bytes) -> None:
        head = self._head
        if head is None:
            return
        try:
            part = base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError):
            self._drop(head, "a line of its content is no base64")
            return
        self._size += len(part)
        if self._size > head.bytes:
            self._drop(head, f"is longer than the {head.bytes} bytes that were announced")
            return
        self._parts.append(part)

    def _end(self, content: bytes) -> None:
        end = self._read(content, _End)
        if end is None:
            return
        self._state = "between"
        head, self._head = self._head, None
        if head is None:
            return
        whole, self._parts = b"".join(self._parts), []
        digest = hashlib.sha256(whole).hexdigest()
        if end.name != head.name:
            self._complain("ends as another file", head.name)
        elif len(whole) != head.bytes:
            self._complain(f"has {len(whole)} of {head.bytes} bytes", head.name)
        elif digest != head.sha256:
            self._complain("its sha256 is not the one that was announced", head.name)
        else:
            self._files[head.name] = File(head.name, whole, digest)
            self._total += len(whole)

    def _done(self, content: bytes) -> None:
        done = self._read(content, _Done)
        if done is None:
            return
        self._state = "done"
        if done.files != self._heads:
            self._complain(f"{self._heads} of {done.files} files are in the log")

    def _read(self, content: bytes, kind: type[T]) -> T | None:
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.DecodeError, RecursionError):
            self._stop("a frame cannot be read")
            return None

    def _drop(self, head: _Head, why: str) -> None:
        self._complain(why, head.name)
        self._head, self._parts = None, []

    def _stop(self, why: str) -> None:
        name = self._head.name if self._state == "inside" and self._head else ""
        self._state, self._head, self._parts = "over", None, []
        self._complain(why, name)

    def _complain(self, message: str, name: str = "") -> None:
        if len(self._problems) < MOST_PROBLEMS:
            self._problems.append(Problem(message, name))
