"""The record beside an artifact. It is written after the content: what has no record does not exist."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from toe.api.meta import Struct
from toe.errors import DecodeError

MOST_BYTES = 64 * 1024
"""Of a record; what is larger is none of ours."""

_Time = Annotated[datetime, msgspec.Meta(tz=True)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=253)]


class Record(Struct, frozen=True, omit_defaults=False):
    """Says what a content is, where it came from and until when it is kept.

    Namespace, run, pod and container come from the ticket; ``name`` and nothing else comes from the tool.
    """

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    """Of the content."""
    artifact: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
    """What people call it."""
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    """What the tool called the file: data, never a path."""
    namespace: _Name
    run: _Name
    run_uid: str
    tool: str
    pod: _Name
    pod_uid: str
    container: str
    """The tool's; the one it looked at is ``target``."""
    target: str
    bytes: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    kept_at: _Time
    keep_until: _Time | None = None
    """After it the artifact is deleted; None where no time is set."""
    encoding: Literal["", "zstd"] = ""
    """How the kept bytes were compressed in the pod; ``bytes`` and ``sha256`` are of what is kept."""
    requester: str = ""
    """Who asked for the run, where the API server told it."""


def write_record(record: Record) -> bytes:
    """Returns a record as it is kept: JSON that a person can read, times in RFC 3339."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def read_record(content: bytes) -> Record:
    """Returns what a record says; DecodeError when it is none."""
    if len(content) > MOST_BYTES:
        raise DecodeError(f"a record has at most {MOST_BYTES} bytes", source="record")
    try:
        return msgspec.json.decode(content, type=Record)
    except msgspec.DecodeError as error:
        raise DecodeError(str(error), source="record") from None
