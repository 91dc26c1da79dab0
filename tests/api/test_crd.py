"""From types to CustomResourceDefinitions."""

import re
from typing import Any

import msgspec
import pytest

from toe.api.crd import KINDS, custom_resource_definition, rules_of, schema_of
from toe.api.meta import Struct
from toe.api.powertool import PowerToolSpec


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_definition_is_whole(kind: str) -> None:
    """Names, scope, columns, status subresource and schema are there."""
    definition = custom_resource_definition(kind)
    spec = definition["spec"]
    (version,) = spec["versions"]
    assert definition["metadata"]["name"] == f"{kind.lower()}s.codriverlabs.ai.toe.run"
    assert spec["scope"] == "Namespaced"
    assert spec["names"]["shortNames"] == {"PowerTool": ["pt"], "PowerToolConfig": ["ptc"]}[kind]
    assert version["subresources"] == {"status": {}}
    assert version["additionalPrinterColumns"][-1] == {
        "name": "Age",
        "type": "date",
        "jsonPath": ".metadata.creationTimestamp",
    }
    assert version["schema"]["openAPIV3Schema"]["required"] == ["spec"]


@pytest.mark.parametrize("kind", list(KINDS))
def test_printer_columns_point_at_fields_that_exist(kind: str) -> None:
    """A column that nobody fills is a lie."""
    schema = schema_of(KINDS[kind])
    for column in custom_resource_definition(kind)["spec"]["versions"][0]["additionalPrinterColumns"]:
        path = re.sub(r"\[.*?\]", ".[]", column["jsonPath"]).strip(".").split(".")
        node: Any = schema
        for step in [] if path[0] == "metadata" else path:
            node = node["items"] if step == "[]" else node["properties"][step]
            assert node


def test_rules_become_validations_with_their_field() -> None:
    """Message, reason and field path are those of the type."""
    validations = schema_of(KINDS["PowerTool"])["properties"]["spec"]["x-kubernetes-validations"]
    assert len(validations) == len(rules_of(PowerToolSpec))
    assert validations[0] == {
        "rule": "!has(self.security)",
        "message": "security is the administrator's: it is set in PowerToolConfig only",
        "reason": "FieldValueForbidden",
        "fieldPath": ".security",
    }


def test_a_type_without_a_schema_is_an_error_of_ours() -> None:
    """A field whose type no schema knows fails when the definition is made, not in a cluster."""

    class Odd(Struct, frozen=True):
        share: float

    class Kind(Struct, frozen=True):
        spec: Odd
        status: msgspec.Raw

    with pytest.raises(TypeError, match="no schema for FloatType"):
        schema_of(Kind)
