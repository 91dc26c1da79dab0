"""Every string and list of both kinds has a bound, so that CEL's cost is known and nothing grows without end."""

from collections.abc import Iterator
from typing import Any

import pytest

from toe.api.crd import KINDS, custom_resource_definition, schema_of

NODES = [
    (f"{kind}{path}", node)
    for kind, words in KINDS.items()
    for part in ("spec", "status")
    for path, node in [(f".{part}", schema_of(words)["properties"][part])]
]


def _walk(path: str, node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from _walk(f"{path}.{name}", inner)
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from _walk(f"{path}[]", node[key])


ALL = [found for path, node in NODES for found in _walk(path, node)]


@pytest.mark.parametrize(("path", "node"), ALL, ids=[path for path, _ in ALL])
def test_a_field_is_bounded_and_described(path: str, node: dict[str, Any]) -> None:
    """Strings by length or enum, lists by items and list type, maps by entries; every field says what it is."""
    match node["type"]:
        case "string":
            assert "maxLength" in node or "enum" in node
        case "array":
            assert node["maxItems"] <= 1024
        case "object" if "additionalProperties" in node:
            assert "maxProperties" in node
        case "integer":
            assert node["format"] == "int64"
        case kind:
            assert kind in ("object", "boolean")
    assert node.get("description") or path.endswith(("[]", ".spec", ".status"))


@pytest.mark.parametrize("kind", list(KINDS))
def test_lists_say_how_they_are_merged(kind: str) -> None:
    """For server-side apply; what is refused whatever it holds needs no answer."""
    spec = schema_of(KINDS[kind])["properties"]["spec"]
    for path, node in _walk("spec", spec):
        if node["type"] == "array" and not node.get("description", "").startswith("refused"):
            assert node["x-kubernetes-list-type"] in ("atomic", "set", "map"), path


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_definition_is_small_enough_to_be_applied_by_kubectl(kind: str) -> None:
    """kubectl keeps a copy in an annotation, which takes 256 KiB."""
    assert len(str(custom_resource_definition(kind))) < 128 * 1024
