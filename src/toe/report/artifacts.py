"""Kept files as people see them: objects of ``artifacts.toe.run``, and the rows that kubectl prints.

Source of the shapes: https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from toe.api.meta import ListMeta, ObjectMeta, Struct
from toe.api.quantity import format_bytes
from toe.api.time import parse_time
from toe.report.text import one_line

GROUP = "artifacts.toe.run"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
PLURAL, SINGULAR, KIND, SHORT_NAME = "artifacts", "artifact", "Artifact", "pta"
RUN_LABEL, RUN_UID_LABEL = "toe.run/run", "toe.run/run-uid"
TOOL_LABEL, POD_LABEL = "toe.run/tool", "toe.run/pod"

Included = Literal["None", "Metadata", "Object"]
"""How much of each object comes beside its row."""


class Origin(Struct, frozen=True, omit_defaults=False):
    """Names an object that a file came from."""

    name: str = ""
    uid: str = ""


class KeptArtifact(Struct, frozen=True, omit_defaults=False):
    """Is one file that is kept, as the API shows it.

    ``file`` is what the tool called it: data, never a path. ``kept_until`` is empty where no end is set.
    """

    metadata: ObjectMeta
    run: Origin = Origin()
    tool: str = ""
    pod: Origin = Origin()
    container: str = ""
    file: str = ""
    bytes: int = 0
    sha256: str = ""
    kept_until: str = ""
    api_version: str = API_VERSION
    kind: str = KIND


class KeptArtifactList(Struct, frozen=True, omit_defaults=False):
    """Is a page of them."""

    items: tuple[KeptArtifact, ...] = ()
    metadata: ListMeta = ListMeta()
    api_version: str = API_VERSION
    kind: str = f"{KIND}List"


_COLUMNS: tuple[tuple[str, str, int, str], ...] = (
    ("Name", "name", 0, "Name of the artifact."),
    ("Run", "", 0, "The run (PowerTool) that made it."),
    ("Pod", "", 0, "The pod it came from."),
    ("File", "", 0, "What the tool called it."),
    ("Size", "", 0, "Its size."),
    ("Age", "", 0, "Time since it was kept."),
    ("Kept until", "", 0, "The day on which it is removed."),
    ("Tool", "", 1, "The tool that made it."),
    ("SHA256", "", 1, "The sha256 of its content."),
)
HEADER = tuple(name.upper() for name, _, priority, _ in _COLUMNS if priority == 0)
"""Of the columns that everybody sees."""


def cells(artifact: KeptArtifact, now: datetime) -> tuple[str, ...]:
    """Returns what stands in each column, without anything that a terminal acts upon."""
    kept = parse_time(artifact.metadata.creation_timestamp)
    found = (
        artifact.metadata.name,
        artifact.run.name,
        artifact.pod.name,
        artifact.file,
        format_bytes(artifact.bytes),
        age(now - kept) if kept else "<unknown>",
        artifact.kept_until[:10] or "<none>",
        artifact.tool,
        artifact.sha256,
    )
    return tuple(one_line(cell) for cell in found)


def row(artifact: KeptArtifact, now: datetime) -> tuple[str, ...]:
    """Returns the cells of the columns that everybody sees."""
    return cells(artifact, now)[: len(HEADER)]


def table(
    artifacts: Iterable[KeptArtifact],
    meta: ListMeta,
    now: datetime,
    *,
    include: Included = "Metadata",
    version: str = "v1",
) -> dict[str, Any]:
    """Returns the Table that kubectl asks for."""
    rows = []
    for artifact in artifacts:
        found: dict[str, Any] = {"cells": list(cells(artifact, now))}
        if include == "Object":
            found["object"] = msgspec.to_builtins(artifact)
        elif include == "Metadata":
            found["object"] = partial(artifact, version)
        rows.append(found)
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": msgspec.to_builtins(meta),
        "columnDefinitions": [
            {"name": name, "type": "string", "format": form, "description": text, "priority": priority}
            for name, form, priority, text in _COLUMNS
        ],
        "rows": rows,
    }


def partial(artifact: KeptArtifact, version: str = "v1") -> dict[str, Any]:
    """Returns the metadata alone."""
    metadata = msgspec.to_builtins(artifact.metadata)
    return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}", "metadata": metadata}


def age(span: timedelta) -> str:
    """Writes a time since then as kubectl does: ``45s``, ``3m20s``, ``5h``, ``2d3h``, ``400d``.

    Source: k8s.io/apimachinery/pkg/util/duration, HumanDuration.
    """
    seconds = int(span.total_seconds())
    if seconds < 0:
        return "0s" if seconds >= -2 else "<invalid>"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    if days < 2920:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(whole: int, unit: str, rest: int, smaller: str) -> str:
    return f"{whole}{unit}{rest}{smaller}" if rest else f"{whole}{unit}"


def newest_run(artifacts: Sequence[KeptArtifact]) -> str:
    """Returns the UID of the run whose files came last: two runs of one name are told apart by it."""
    return max(artifacts, key=lambda found: (found.metadata.creation_timestamp, found.run.uid)).run.uid
