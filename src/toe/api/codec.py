"""The customs office: YAML and JSON to types and back. Errors name the field path, all of them at once.

What the API server would refuse is refused here by the same schema (:func:`toe.api.crd.schema_of`) and the same rules
(their Python twins), so that ``kubectl toe lint`` works without a cluster.
"""

import difflib
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import msgspec
import yaml
from msgspec import inspect

from toe.api.crd import KINDS, Schema, rules_of, schema_of
from toe.api.meta import API_VERSION
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.schema import IN_WORDS, Rule
from toe.errors import DecodeError

MAX_MANIFEST_BYTES = 3 * 1024 * 1024
"""More than the API server takes in one request (k8s.io/apiserver, MaxRequestBodyBytes)."""

Manifest = PowerTool | PowerToolConfig


class Document(NamedTuple):
    """Is one document of a file: the raw mapping and what to call it in an error."""

    raw: dict[str, Any]
    source: str


class _Loader(yaml.CSafeLoader):
    """Reads YAML as kubectl does.

    Dates and numbers to the base of 60 (the MAC address 11:22:33:44:55:12) stay text, 1e3 is a number, and a key given
    twice is an error, not the last one's win.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} is given twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_OWN_TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("timestamp", "int", "float"))
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _OWN_TAGS]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    _OWN_TAGS[1], re.compile("[-+]?(0|[1-9][0-9_]*|0[0-7_]+|0x[0-9a-fA-F_]+)$"), "-+0123456789"
)
_Loader.add_implicit_resolver(
    _OWN_TAGS[2],
    re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"),
    "-+.0123456789",
)


def read_documents(text: str | bytes, *, source: str = "") -> list[Document]:
    """Splits a YAML or JSON file into its non-empty documents; a List is taken apart.

    Raises DecodeError when the text is no YAML, is no mapping, or is larger than the API server takes.
    """
    if len(text) > MAX_MANIFEST_BYTES:
        raise DecodeError(f"is larger than the {MAX_MANIFEST_BYTES} bytes that the API server takes", source=source)
    try:
        roots = [root for root in yaml.load_all(_paired(text), Loader=_Loader) if root is not None]
    except yaml.YAMLError as error:
        raise DecodeError(f"is no YAML: {_one_line(error)}", source=source) from None
    except (RecursionError, ValueError) as error:
        raise DecodeError(f"is no YAML that can be read: {_one_line(error)}", source=source) from None
    documents: list[Document] = []
    for number, root in enumerate(roots, 1):
        name = source if len(roots) == 1 else f"{source} document {number}".strip()
        if not isinstance(root, dict):
            raise DecodeError(f"must be a mapping, not {_type_name(root)}", source=name)
        if root.get("kind") == "List" and isinstance(root.get("items"), list):
            documents += [Document(item, name) for item in root["items"] if isinstance(item, dict)]
        else:
            documents.append(Document(root, name))
    return documents


def _paired(text: str | bytes) -> str | bytes:
    r"""Writes what JSON escapes as two surrogates (``\ud83d\ude00``) as YAML writes it: there they are no character."""
    if isinstance(text, bytes):
        return str(_paired(text.decode("latin-1"))).encode("latin-1")
    return _PAIR.sub(_as_yaml, text) if text.lstrip()[:1] in ("{", "[") else text


def _as_yaml(pair: re.Match[str]) -> str:
    high, low = int(pair[2], 16), int(pair[3], 16)
    return f"{pair[1]}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"


_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


def problems_of(raw: dict[str, Any], *, source: str = "") -> list[DecodeError]:
    """Lists everything that the API server would refuse about one manifest, unknown fields included.

    An empty list means :func:`decode` succeeds.
    """
    return _read(raw, source)[1]


def decode(raw: dict[str, Any], *, source: str = "") -> Manifest:
    """Turns one raw manifest into its type.

    Raises DecodeError for the first problem; :func:`problems_of` lists them all.
    """
    manifest, problems = _read(raw, source)
    if manifest is None:
        raise problems[0]
    return manifest


def _read(raw: dict[str, Any], source: str) -> tuple[Manifest | None, list[DecodeError]]:
    kind = raw.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        accepted = " or ".join(KINDS)
        return None, [DecodeError(f"must be {accepted}, not {_show(kind)}", path="kind", source=source)]
    found: list[DecodeError] = []
    if raw.get("apiVersion") != API_VERSION:
        message = f"must be {API_VERSION}, not {_show(raw.get('apiVersion'))}"
        found.append(DecodeError(message, path="apiVersion", source=source))
    metadata = raw.get("metadata")
    if not isinstance(metadata, dict) or not (metadata.get("name") or metadata.get("generateName")):
        found.append(DecodeError("must be given", path="metadata.name", source=source))
    schema = schema_of(KINDS[kind])
    stored = _as_stored(raw, schema)
    spec = stored.get("spec")
    complaints = [
        *_violations(spec, schema["properties"]["spec"], "spec"),
        *_broken_rules(spec, _spec_type(KINDS[kind]), "spec"),
    ]
    found += [DecodeError(message, path=path, source=source) for path, message in complaints]
    if found:
        return None, found
    try:
        return msgspec.convert(stored, KINDS[kind]), []
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        return None, [DecodeError(message, path=path.rstrip("`"), source=source)]


def _as_stored(value: Any, schema: Schema) -> Any:
    """Returns ``value`` as the API server stores it: a null that may not be one is absent, and 5.0 is the integer 5."""
    if not schema or "x-kubernetes-preserve-unknown-fields" in schema:
        return value
    match value:
        case dict():
            known, entry = schema.get("properties", {}), schema.get("additionalProperties", {})
            return {
                key: _as_stored(item, known.get(key, entry))
                for key, item in value.items()
                if item is not None or known.get(key, entry).get("nullable")
            }
        case list():
            return [_as_stored(item, schema.get("items", {})) for item in value]
        case float() if schema.get("type") == "integer" and value.is_integer():
            return int(value)
        case _:
            return value


def to_builtins(value: Any) -> Any:
    """Returns ``value`` as plain mappings, lists and scalars, camelCase, defaults left out."""
    return msgspec.json.decode(msgspec.json.encode(value))


def to_yaml(value: Any) -> str:
    """Writes a struct or plain value as YAML, fields in the order of the type."""
    return yaml.dump(to_builtins(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Dumper(yaml.SafeDumper):
    """Is PyYAML's, and quotes what `_Loader`, as kubectl, takes for a number: 1e3.

    Escapes NEL, which PyYAML writes as it is and reads back as a space.
    """


def _represent_str(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if "\x85" in text else None)


_Dumper.yaml_implicit_resolvers = {
    first: yaml.SafeDumper.yaml_implicit_resolvers.get(first, []) + _Loader.yaml_implicit_resolvers.get(first, [])
    for first in yaml.SafeDumper.yaml_implicit_resolvers.keys() | _Loader.yaml_implicit_resolvers.keys()
}
_Dumper.add_representer(str, _represent_str)


@cache
def _spec_type(kind: type[Manifest]) -> inspect.StructType:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    (spec,) = [field.type for field in info.fields if field.name == "spec"]
    assert isinstance(spec, inspect.StructType)
    return spec


def _violations(value: Any, schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    """Yields (path, message) for everything in ``value`` that the structural schema does not accept."""
    if value is None:
        if not schema.get("nullable"):
            yield path, "must be given"
        return
    kind = schema["type"]
    if not _has_type(value, kind):
        yield path, f"must be {_ARTICLE[kind]}, not {_show(value)}"
        return
    match kind:
        case "object":
            yield from _object_violations(value, schema, path)
        case "array":
            yield from _array_violations(value, schema, path)
        case "string":
            yield from _string_violations(value, schema, path)
        case "integer":
            if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
                yield path, f"must be between {schema['minimum']} and {schema['maximum']}, not {value}"


def _object_violations(value: dict[str, Any], schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{path}.{name}", "must be given"
    entry = schema.get("additionalProperties")
    if entry is not None:
        if len(value) > schema.get("maxProperties", len(value)):
            yield path, f"must have at most {schema['maxProperties']} entries, not {len(value)}"
        for key, item in value.items():
            yield from _violations(item, entry, f"{path}.{key}")
        return
    known = schema.get("properties", {})
    for name, item in value.items():
        if name in known:
            yield from _violations(item, known[name], f"{path}.{name}")
        else:
            near = difflib.get_close_matches(str(name), known, n=1)
            yield f"{path}.{name}", "is no field of this kind" + (f": did you mean {near[0]}?" if near else "")


def _array_violations(value: list[Any], schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        least, most = schema.get("minItems", 0), schema["maxItems"]
        yield path, f"must have {f'{least} to {most}' if least else f'at most {most}'} entries, not {len(value)}"
    for index, item in enumerate(value):
        yield from _violations(item, schema["items"], f"{path}[{index}]")
    keys = schema.get("x-kubernetes-list-map-keys", ())
    if schema.get("x-kubernetes-list-type") in ("set", "map"):
        seen: set[str] = set()
        for index, item in enumerate(value):
            mark = repr([item.get(key) for key in keys]) if keys and isinstance(item, dict) else repr(item)
            if mark in seen:
                told = item.get(keys[0]) if keys and isinstance(item, dict) else item
                yield f"{path}[{index}]", f"is given twice: {_show(told)}"
            seen.add(mark)


def _string_violations(value: str, schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    if "enum" in schema and value not in schema["enum"]:
        yield path, f"must be one of {', '.join(schema['enum'])}, not {_show(value)}"
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        yield (
            path,
            f"must have {schema.get('minLength', 0)} to {schema['maxLength']} characters, not {len(value)}",
        )
    elif "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        yield path, f"must be {IN_WORDS[schema['pattern']]}, not {_show(value)}"


def _broken_rules(value: Any, node: inspect.Type, path: str) -> list[tuple[str, str]]:
    """Lists (path, message) of every rule that ``value`` breaks, nested structs included.

    Parts that do not fit their schema are passed over: the schema has said so already.
    """
    match node:
        case inspect.Metadata():
            return _broken_rules(value, node.type, path)
        case inspect.UnionType():
            parts = [part for part in node.types if not isinstance(part, inspect.NoneType)]
            return _broken_rules(value, parts[0], path)
        case inspect.VarTupleType() if isinstance(value, list):
            return [c for i, item in enumerate(value) for c in _broken_rules(item, node.item_type, f"{path}[{i}]")]
        case inspect.StructType() if isinstance(value, dict):
            own = [(path + rule.path, rule.message) for rule in rules_of(node.cls) if _breaks(rule, value)]
            fields = {field.encode_name: field.type for field in node.fields}
            inner = [
                c for key in value if key in fields for c in _broken_rules(value[key], fields[key], f"{path}.{key}")
            ]
            return own + inner
        case _:
            return []


def _breaks(rule: Rule, value: dict[str, Any]) -> bool:
    try:
        return not rule.holds(value)
    except (TypeError, AttributeError, KeyError):
        return False


_ARTICLE = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "integer": "a whole number",
    "boolean": "true or false",
}


def _has_type(value: Any, kind: str) -> bool:
    match kind:
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
        case _:
            return isinstance(value, bool)


def _type_name(value: Any) -> str:
    return {dict: "a mapping", list: "a list", str: "a string", type(None): "nothing"}.get(type(value), str(value))


def _show(value: Any) -> str:
    """Writes a value into a message: quoted, on one line, cut at 60 characters."""
    try:
        shown = json.dumps(value, ensure_ascii=True, default=str)
    except RecursionError:
        return "something nested too deeply"
    return shown if len(shown) <= 60 else shown[:57] + '..."'


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
