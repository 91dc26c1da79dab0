"""The reference pages on disk are the ones that the types make."""

import pytest

from docs.generate import REFERENCE, pages
from toe.api.crd import KINDS, schema_of
from toe.api.reasons import Reason


@pytest.mark.parametrize("name", sorted(pages()))
def test_page_is_current(name: str) -> None:
    """Every generated page is on disk as it would be generated now; ``make generate`` mends it."""
    assert (REFERENCE / name).read_text() == pages()[name]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_field_is_described(kind: str) -> None:
    """No field of the API is without a description."""
    bare = [path for path, description in _fields(schema_of(KINDS[kind])["properties"]["spec"]) if not description]

    assert bare == []


def test_every_reason_is_told() -> None:
    """Every reason stands in the page of reasons."""
    page = pages()["reasons.md"]

    assert [reason for reason in Reason if f"`{reason}`" not in page] == []


def _fields(schema: dict, path: str = "spec"):
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field.get("description")
        inner = field.get("items", field) if field.get("type") == "array" else field
        yield from _fields(inner, f"{path}.{name}")
