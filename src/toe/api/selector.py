"""Label selectors as text, as ``-l`` and ``labelSelector=`` take them.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors and
k8s.io/apimachinery/pkg/labels, Parse. ``key > 1`` belongs to node affinity; a label selector of an object has no such.
"""

import re

from toe.api.meta import LabelSelector, LabelSelectorRequirement
from toe.errors import DecodeError

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = rf"(?:[a-z0-9](?:[-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_NAME}"


class _Grammar:
    """Holds the forms of one requirement; ``most`` is how long a value may be."""

    def __init__(self, most: int) -> None:
        self.value = rf"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{{0,{most - 2}}}[A-Za-z0-9])?)?"
        self.set = re.compile(rf"(?P<key>{_KEY})\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
        self.equal = re.compile(rf"(?P<key>{_KEY})\s*(?P<operator>==|=|!=)\s*(?P<value>{self.value})")
        self.exists = re.compile(rf"(?P<absent>!\s*)?(?P<key>{_KEY})")


_LABELS, _NAMES = _Grammar(63), _Grammar(253)


def parse_selector(text: str, *, names: bool = False) -> LabelSelector:
    """Reads a selector; DecodeError names the part that is none.

    ``names``: values may be as long as the names of objects, 253 characters, which real labels never are.
    """
    grammar = _NAMES if names else _LABELS
    labels: dict[str, str] = {}
    expressions: list[LabelSelectorRequirement] = []
    for part in _parts(text):
        if found := grammar.set.fullmatch(part):
            expressions.append(_set(found, part, grammar))
        elif found := grammar.equal.fullmatch(part):
            key, value = found["key"], found["value"]
            if found["operator"] == "!=":
                expressions.append(LabelSelectorRequirement(key, "NotIn", (value,)))
            elif labels.setdefault(key, value) != value:
                raise DecodeError(f"{key} cannot be {labels[key]} and {value} at once")
        elif found := grammar.exists.fullmatch(part):
            expressions.append(LabelSelectorRequirement(found["key"], "DoesNotExist" if found["absent"] else "Exists"))
        else:
            raise _wrong(part)
    return LabelSelector(match_labels=labels or None, match_expressions=tuple(expressions) or None)


def _parts(text: str) -> list[str]:
    """Cuts at commas outside of parentheses."""
    parts = [part.strip() for part in re.split(r",(?![^()]*\))", text)]
    if any(not part for part in parts):
        raise DecodeError(f'"{text}" is no selector: a part of it is empty')
    return parts


def _set(found: re.Match[str], part: str, grammar: _Grammar) -> LabelSelectorRequirement:
    values = tuple(value.strip() for value in found["values"].split(","))
    if any(re.fullmatch(grammar.value, value) is None for value in values):
        raise _wrong(part)
    return LabelSelectorRequirement(found["key"], "In" if found["operator"] == "in" else "NotIn", values)


def _wrong(part: str) -> DecodeError:
    return DecodeError(f'"{part}" is no selector')
