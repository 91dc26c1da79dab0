"""The page of metrics, read from where they are made: name, kind, labels and meaning stand in one call each."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from docs.cells import cell, code, codes, table

SOURCE = Path(__file__).parents[1] / "src" / "toe"
PARTS = {
    "kube/metrics.py": "Every part",
    "controller": "Controller",
    "webhook": "Webhook",
    "collector/artifacts.py": "Artifacts API, and the collector where it serves people",
    "collector/apiserver.py": "Artifacts API",
    "collector": "Collector",
}
"""By what the path of a module begins with."""


_HEAD = """# Metrics

Served by every part at `/metrics`, port 8443, to who shows a token and may `get` that path:
[how to watch toe](../howto/watch-toe.md). A histogram has `_bucket`, `_sum` and `_count`. No label holds the name of a
person, a run, a pod or a file.
"""


class Made(NamedTuple):
    """Is one metric, as it is scraped."""

    part: str
    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


def metrics() -> list[Made]:
    """Returns every metric that the programs make."""
    found = {made for path in sorted(SOURCE.rglob("*.py")) for made in _of(path)}
    return sorted(found, key=lambda made: (list(PARTS.values()).index(made.part), made.name))


def pages() -> dict[str, str]:
    """Returns the page by its file name."""
    parts, found = [_HEAD], metrics()
    for part in PARTS.values():
        rows = [made for made in found if made.part == part]
        head = ("metric", "kind", "labels", "meaning")
        cells = ((code(made.name), made.kind, codes(made.labels, ", "), cell(made.meaning)) for made in rows)
        parts.append(f"\n## {part}\n\n{table(head, cells)}")
    return {"metrics.md": "".join(parts)}


def _of(path: Path) -> Iterator[Made]:
    place = str(path.relative_to(SOURCE))
    part = next((words for begin, words in PARTS.items() if place.startswith(begin)), "")
    names: dict[str, ast.expr] = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names[node.targets[0].id] = node.value
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        kind = node.func.attr
        if kind == "gauges":
            for keyword in node.keywords:
                yield Made(part, keyword.arg or "", "gauge", (), _texts(keyword.value)[0])
        elif kind in ("counter", "histogram", "gauge", "counted"):
            arguments = [
                names.get(a.value.id, a) if isinstance(a, ast.Starred) and isinstance(a.value, ast.Name) else a
                for a in node.args
            ]
            name, meaning, *labels = [text for a in arguments for text in _texts(a)] or ["", ""]
            if name.startswith("toe_"):
                is_count = kind in ("counter", "counted")
                yield Made(part, name + "_total" * is_count, "counter" if is_count else kind, tuple(labels), meaning)


def _texts(node: ast.expr) -> list[str]:
    """Returns the texts that an expression holds, in their order; what is computed is none."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    return [text for inner in getattr(node, "elts", ()) for text in _texts(inner)]
