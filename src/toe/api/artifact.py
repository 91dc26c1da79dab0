"""Artifact: a file that a tool produced, as the run's status lists it."""

from typing import Annotated

from toe.api.meta import Struct
from toe.api.schema import note, text


class Artifact(Struct, frozen=True, gc=False):
    """Is one file of one target. The hash is what the supervisor computed inside the pod."""

    pod: Annotated[str, text("pod it came from", most=253)]
    name: Annotated[str, text("path below the tool's output directory", most=512)]
    bytes: Annotated[int, note("size in bytes")] = 0
    sha256: Annotated[str, text("sha256 in hex", most=64)] = ""
