"""How the words carry their own rules: bounds on fields and CEL rules on structs, stated once, beside the type.

:mod:`toe.api.crd` turns them into the CRD that the API server enforces; :mod:`toe.api.codec` enforces the same ones
offline. A rule that CEL states has its Python twin next to it, and a test on a real API server proves that both agree.
"""

import re
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from toe.api.time import parse_duration

Cause = Literal["FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"]
FORBIDDEN: Cause = "FieldValueForbidden"
REQUIRED: Cause = "FieldValueRequired"

DNS_LABEL = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
GO_DURATION = "^([0-9]+([.][0-9]+)?(ms|s|m|h))+$"
RELATIVE_PATH = "^([A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)?$"
MOUNT_PATH = "^(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$"
QUANTITY = "^[0-9]+(Ki|Mi|Gi|Ti|k|M|G|T)?$"
FLAG = "^-[!-~]+$"
IMAGE = (
    "^(([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?([.][A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*|\\[[A-Fa-f0-9:]+\\])(:[0-9]+)?/)?"
    "[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*)*"
    "(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}))?$"
)
"""As runtimes read references. Source: github.com/distribution/reference, regexp.go."""
ENV_NAME = "^[A-Za-z_][A-Za-z0-9_]*$"

IN_WORDS = {
    DNS_LABEL: "a DNS label (lower case letters, digits and '-')",
    GO_DURATION: "a Go duration such as 90s or 2m30s",
    RELATIVE_PATH: "a relative path of names that do not begin with a dot, such as results/web",
    MOUNT_PATH: "an absolute path of names that do not begin with a dot, such as /results",
    QUANTITY: "a quantity such as 256Mi",
    FLAG: "a word that begins with '-'",
    IMAGE: "an image reference: REGISTRY/REPOSITORY@sha256:DIGEST or :TAG, the repository in lower case",
    ENV_NAME: "letters, digits and '_', no digit first",
}
"""Every pattern, as people say it."""


class Rule(msgspec.Struct, frozen=True):
    """Is one rule on a struct: ``cel`` for the API server, ``holds`` for everybody else.

    ``holds`` gets the raw mapping (as decoded from JSON) and must never raise for a mapping that fits the schema.
    ``path`` is the field the rule speaks of, relative to the struct (``.security``).
    ``transition`` rules compare with the old object (``oldSelf``) and hold for a new one by nature.
    """

    cel: str
    message: str
    holds: Callable[[dict[str, Any]], bool] = lambda _: True
    path: str = ""
    reason: Cause = "FieldValueInvalid"


def absent(field: str, message: str) -> Rule:
    """Makes the rule that ``field`` must not be there; declared in the schema so that pruning cannot hide it."""
    return Rule(
        cel=f"!has(self.{field})",
        message=message,
        holds=lambda value: value.get(field) is None,
        path=f".{field}",
        reason=FORBIDDEN,
    )


def immutable(field: str, *, required: bool = False) -> Rule:
    """Makes the rule that ``field`` never changes, ``has()`` included."""
    cel = (
        f"self.{field} == oldSelf.{field}"
        if required
        else f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"
    )
    return Rule(cel=cel, message=f"{field} is immutable: delete this object and create a new one", path=f".{field}")


def text(description: str, *, most: int, least: int = 0, pattern: str = "", **more: Any) -> msgspec.Meta:
    """Bounds a string by characters and by one of the patterns of ``IN_WORDS``."""
    schema: dict[str, Any] = {"maxLength": most, **more}
    if least:
        schema["minLength"] = least
    if pattern:
        schema["pattern"] = pattern
    return _meta(description, schema)


def items(
    description: str, *, most: int, least: int = 0, kind: str = "atomic", keys: tuple[str, ...] = (), **more: Any
) -> msgspec.Meta:
    """Bounds a list; ``kind`` is its list type for server-side apply (atomic, set, map)."""
    schema: dict[str, Any] = {"maxItems": most, "x-kubernetes-list-type": kind, **more}
    if least:
        schema["minItems"] = least
    if keys:
        schema["x-kubernetes-list-map-keys"] = list(keys)
    return _meta(description, schema)


def entries(description: str, *, most: int) -> msgspec.Meta:
    """Bounds a map by its number of entries."""
    return _meta(description, {"maxProperties": most})


def number(description: str, *, least: int, most: int) -> msgspec.Meta:
    """Bounds an integer, both ends included."""
    return _meta(description, {"minimum": least, "maximum": most})


def note(description: str, **schema: Any) -> msgspec.Meta:
    """Describes a field that needs no bound (a flag, an enum, a struct)."""
    return _meta(description, schema)


_FOREIGN: dict[str, dict[str, Any]] = {
    "object": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "objects": {
        "type": "array",
        "maxItems": 256,
        "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
    "words": {"type": "array", "maxItems": 256, "items": {"type": "string", "maxLength": 4096}},
    "string": {"type": "string", "maxLength": 4096},
    "integer": {"type": "integer", "format": "int64"},
    "boolean": {"type": "boolean"},
}


def foreign(description: str, kind: str) -> msgspec.Meta:
    """Declares a field that is refused whatever it holds, so that pruning cannot hide it from its rule.

    It has the type that people try (CEL cannot ask for a field without one); any other type is refused by that.
    """
    return _meta(description, _FOREIGN[kind])


def _meta(description: str, schema: dict[str, Any]) -> msgspec.Meta:
    return msgspec.Meta(extra_json_schema={"description": description, **schema})


def is_dns_label(name: object) -> bool:
    """Tells whether ``name`` is a DNS label (RFC 1123): lower case letters, digits, '-' inside, at most 63."""
    return isinstance(name, str) and len(name) <= 63 and re.fullmatch("[a-z0-9]([-a-z0-9]*[a-z0-9])?", name) is not None


def at_least_a_second(field: str, message: str = "must be at least 1s", *, optional: bool = True) -> Rule:
    """Makes the rule that the duration in ``field`` is real: from 1 s to a year. More would overflow CEL's own."""
    real = f"duration(self.{field}) >= duration('1s') && duration(self.{field}) <= duration('8784h')"
    cel = f"!self.{field}.matches('{GO_DURATION}') || ({real})"
    return Rule(
        cel=f"!has(self.{field}) || {cel}" if optional else cel,
        message=f"{message}, and at most 8784h (366 days)",
        holds=lambda value: _is_real(value.get(field)),
        path=f".{field}",
    )


def _is_real(duration: object) -> bool:
    """Tells whether a duration is from 1 s to a year; what is no duration is the pattern's business and passes."""
    if not isinstance(duration, str) or not re.fullmatch(GO_DURATION, duration):
        return True
    parsed = parse_duration(duration)
    return parsed is not None and parsed.total_seconds() >= 1
