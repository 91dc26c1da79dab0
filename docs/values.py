"""The page of the chart's values: path and default from values.yaml, what it does from the comment above it there, what
is accepted from the schema."""

import json
from collections.abc import Iterator
from typing import Any

import yaml

from charts.generate import TOP
from docs.cells import cell, code, table

VALUES, SCHEMA = TOP / "values.yaml", TOP / "values.schema.json"
_WHOLE = ("resources",)
"""Maps that are one value: what is in them is Kubernetes'."""
_COLLECTIONS = {"array": "a list", "object": "a map"}

_HEAD = """# Values of the chart

From `charts/toe/values.yaml` and `values.schema.json`. Helm refuses a value that is not here, and one that is not
accepted.
"""

Row = tuple[str, str, str, str]


def pages() -> dict[str, str]:
    """Returns the page by its file name."""
    parts = [_HEAD]
    part = None
    for path, default, accepted, does in rows():
        top = path.partition(".")[0] if "." in path else ""
        if top != part:
            parts.append(f"\n## {top or 'Of the whole'}\n\n{table(('value', 'default', 'accepted', 'does'), ())}")
            part = top
        parts.append(f"| {code(path)} | {code(default)} | {accepted} | {cell(does)} |\n")
    return {"values.md": "".join(parts)}


def rows() -> list[Row]:
    """Returns path, default, what is accepted and what it does, those first that are in no group."""
    text = VALUES.read_text()
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)
    found = list(_rows(root, "", json.loads(SCHEMA.read_text()), text.splitlines()))
    return sorted(found, key=lambda row: "." in row[0])


def _rows(node: yaml.MappingNode, above: str, schema: dict[str, Any], lines: list[str]) -> Iterator[Row]:
    for key, value in node.value:
        path = f"{above}.{key.value}" if above else key.value
        inner = schema["properties"][key.value]
        if isinstance(value, yaml.MappingNode) and "properties" in inner and key.value not in _WHOLE:
            yield from _rows(value, path, inner, lines)
            continue
        default = json.dumps(yaml.safe_load(yaml.serialize(value)))
        yield path, default, accepted(inner), _comment(lines, key.start_mark)


def _comment(lines: list[str], mark: yaml.Mark) -> str:
    """Returns the comment right above a key that begins its line."""
    above, begins = mark.line, not lines[mark.line][: mark.column].strip()
    found: list[str] = []
    while begins and above > 0 and lines[above - 1].startswith(" " * mark.column + "#"):
        above -= 1
        found.insert(0, lines[above].strip().lstrip("# "))
    return " ".join(found)


def accepted(schema: dict[str, Any]) -> str:
    """Returns what a schema accepts, in words where it has some."""
    if "enum" in schema:
        return " or ".join(code(word) if word else "empty" for word in schema["enum"])
    if "description" in schema:
        return cell(schema["description"])
    kind = schema["type"]
    if kind == "integer":
        least, most = schema.get("minimum"), schema.get("maximum")
        return f"{least} to {most}" if most is not None else f"at least {least}"
    if kind == "boolean":
        return "`true` or `false`"
    if kind in _COLLECTIONS:
        return _COLLECTIONS[kind]
    return "text, not empty" if schema.get("minLength") else "text"
