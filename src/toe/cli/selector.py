"""kubectl's ``-l``: text to a label selector.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors and
k8s.io/apimachinery/pkg/labels, Parse. ``key > 1`` belongs to node affinity; a label selector of an object has no such.
"""

import re

from toe.api.meta import LabelSelector, LabelSelectorRequirement
from toe.cli.sentences import ComplaintError

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = rf"(?:[a-z0-9](?:[-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_NAME}"
_VALUE = rf"(?:{_NAME})?"
_SET = re.compile(rf"(?P<key>{_KEY})\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
_EQUAL = re.compile(rf"(?P<key>{_KEY})\s*(?P<operator>==|=|!=)\s*(?P<value>{_VALUE})")
_EXISTS = re.compile(rf"(?P<absent>!\s*)?(?P<key>{_KEY})")

HINT = "as kubectl takes it: app=shop,tier in (a,b),env!=dev,owner,!canary"


def parse(text: str) -> LabelSelector:
    """Reads a selector; ComplaintError names the part that is none."""
    labels: dict[str, str] = {}
    expressions: list[LabelSelectorRequirement] = []
    for part in _parts(text):
        if found := _SET.fullmatch(part):
            expressions.append(_set(found, part))
        elif found := _EQUAL.fullmatch(part):
            key, value = found["key"], found["value"]
            if found["operator"] == "!=":
                expressions.append(LabelSelectorRequirement(key, "NotIn", (value,)))
            elif labels.setdefault(key, value) != value:
                raise ComplaintError(f"{key} cannot be {labels[key]} and {value} at once (-l)", hints=[HINT], status=2)
        elif found := _EXISTS.fullmatch(part):
            expressions.append(LabelSelectorRequirement(found["key"], "DoesNotExist" if found["absent"] else "Exists"))
        else:
            raise _wrong(part)
    return LabelSelector(match_labels=labels or None, match_expressions=tuple(expressions) or None)


def _parts(text: str) -> list[str]:
    """Cuts at commas outside of parentheses."""
    parts = [part.strip() for part in re.split(r",(?![^()]*\))", text)]
    if any(not part for part in parts):
        raise ComplaintError(f'"{text}" is no selector: a part of it is empty (-l)', hints=[HINT], status=2)
    return parts


def _set(found: re.Match[str], part: str) -> LabelSelectorRequirement:
    values = tuple(value.strip() for value in found["values"].split(","))
    if any(re.fullmatch(_VALUE, value) is None for value in values):
        raise _wrong(part)
    return LabelSelectorRequirement(found["key"], "In" if found["operator"] == "in" else "NotIn", values)


def _wrong(part: str) -> ComplaintError:
    return ComplaintError(f'"{part}" is no selector (-l)', hints=[HINT], status=2)
