"""From types to CustomResourceDefinitions: structural schemas, CEL rules, printer columns, short names.

The types are the single source; the YAML on disk is written by ``make generate`` and compared by a test.
Source of the structural rules: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from toe.api.meta import GROUP, VERSION
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.schema import Rule

Schema = dict[str, Any]

KINDS: dict[str, type[PowerTool] | type[PowerToolConfig]] = {
    "PowerTool": PowerTool,
    "PowerToolConfig": PowerToolConfig,
}


@cache
def schema_of(kind: type[msgspec.Struct]) -> Schema:
    """Returns the OpenAPI v3 schema of ``spec`` and ``status`` of a kind; the caller must not change it."""
    fields = {field.name: field for field in _struct(inspect.type_info(kind)).fields}
    return {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _schema(fields["spec"].type),
            "status": _schema(fields["status"].type),
        },
    }


def custom_resource_definition(kind: str) -> Schema:
    """Returns the whole CRD of ``kind``, ready to be applied."""
    words = KINDS[kind]
    singular = kind.lower()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{singular}s.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": f"{singular}s",
                "singular": singular,
                "shortNames": list(words.SHORT_NAMES),
                "categories": ["toe"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": type_, "jsonPath": path} for name, type_, path in words.PRINTER_COLUMNS
                    ],
                    "schema": {"openAPIV3Schema": schema_of(words)},
                }
            ],
        },
    }


def rules_of(kind: type[msgspec.Struct]) -> tuple[Rule, ...]:
    """Returns the CEL rules that a struct carries."""
    return getattr(kind, "RULES", ())


def _struct(node: inspect.Type) -> inspect.StructType:
    assert isinstance(node, inspect.StructType)
    return node


def _schema(node: inspect.Type) -> Schema:
    match node:
        case inspect.Metadata():
            inner = _schema(node.type)
            own = dict(node.extra_json_schema or {})
            return {"description": own.pop("description", ""), **inner, **own}
        case inspect.UnionType():
            (only,) = [part for part in node.types if not isinstance(part, inspect.NoneType)]
            return _schema(only)
        case inspect.StrType():
            return {"type": "string"}
        case inspect.IntType():
            return {"type": "integer", "format": "int64"}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.AnyType():
            return {}
        case inspect.LiteralType():
            return {"type": "string", "enum": list(node.values)}
        case inspect.VarTupleType():
            return {"type": "array", "items": _schema(node.item_type)}
        case inspect.DictType():
            return {"type": "object", "additionalProperties": _schema(node.value_type)}
        case inspect.StructType():
            return _object(node)
        case _:
            raise TypeError(f"no schema for {node}")


def _object(node: inspect.StructType) -> Schema:
    schema: Schema = {
        "type": "object",
        "properties": {field.encode_name: _schema(field.type) for field in node.fields},
    }
    if required := [field.encode_name for field in node.fields if field.required]:
        schema["required"] = required
    if rules := rules_of(node.cls):
        schema["x-kubernetes-validations"] = [_validation(rule) for rule in rules]
    return schema


def _validation(rule: Rule) -> Schema:
    validation = {"rule": rule.cel, "message": rule.message, "reason": rule.reason}
    return {**validation, "fieldPath": rule.path} if rule.path else validation
