"""What every Kubernetes object carries, as far as toe reads it.

Field names are Kubernetes' own in camelCase on the wire and snake_case in Python. Times stay RFC 3339 text until
:mod:`toe.api.time` is asked.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from toe.api.schema import entries, items, note, text

GROUP = "codriverlabs.ai.toe.run"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


class Struct(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Is the base of all words: immutable, camelCase on the wire, defaults left out."""


class OwnerReference(Struct, frozen=True, gc=False):
    """Names the owner of an object by its UID."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class ObjectMeta(Struct, frozen=True):
    """Is the slice of an object's metadata that toe reads."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str = ""
    deletion_timestamp: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: tuple[OwnerReference, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Is (namespace, name), what caches and queues are keyed by."""
        return (self.namespace, self.name)


class ObjectReference(Struct, frozen=True):
    """Points at one object, as Events do."""

    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    resource_version: str = ""
    field_path: str = ""


class Condition(Struct, frozen=True):
    """Is Kubernetes' metav1.Condition.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/ (meta/v1 Condition).
    """

    type: Annotated[str, text("one word", most=316, least=1)]
    status: Annotated[Literal["True", "False", "Unknown"], note("whether it holds")]
    reason: Annotated[str, text("one word", most=1024, least=1)]
    message: Annotated[str, text("one sentence", most=32768)] = ""
    last_transition_time: Annotated[str, text("when status last changed", most=32, format="date-time")] = ""
    observed_generation: Annotated[int, note("generation it speaks of")] = 0


class LabelSelectorRequirement(Struct, frozen=True):
    """Is one expression of a label selector."""

    key: Annotated[str, text("label key", most=317, least=1)]
    operator: Annotated[Literal["In", "NotIn", "Exists", "DoesNotExist"], note("how the key relates to the values")]
    values: Annotated[
        tuple[Annotated[str, text("label value", most=63)], ...] | None, items("for In and NotIn", most=64)
    ] = None


class LabelSelector(Struct, frozen=True):
    """Selects objects by labels: every entry and every expression must hold."""

    match_labels: Annotated[
        dict[str, Annotated[str, text("label value", most=63)]] | None, entries("labels that must be there", most=64)
    ] = None
    match_expressions: Annotated[
        tuple[LabelSelectorRequirement, ...] | None, items("expressions that must hold", most=64)
    ] = None

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        """Tells whether ``labels`` satisfy the selector; an empty selector matches everything (Kubernetes' rule)."""
        have = labels or {}
        return all(have.get(key) == value for key, value in (self.match_labels or {}).items()) and all(
            _holds(expression, have) for expression in self.match_expressions or ()
        )

    @property
    def is_positive(self) -> bool:
        """Tells whether something must be present: a label, an In or an Exists. NotIn alone matches strangers."""
        return bool(self.match_labels) or any(
            expression.operator in ("In", "Exists") for expression in self.match_expressions or ()
        )

    def __str__(self) -> str:
        """Is the selector as kubectl's ``-l`` takes it."""
        words = [f"{key}={value}" for key, value in sorted((self.match_labels or {}).items())]
        for expression in self.match_expressions or ():
            values = ",".join(expression.values or ())
            match expression.operator:
                case "In":
                    words.append(f"{expression.key} in ({values})")
                case "NotIn":
                    words.append(f"{expression.key} notin ({values})")
                case "Exists":
                    words.append(expression.key)
                case _:
                    words.append(f"!{expression.key}")
        return ",".join(words)


def _holds(expression: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    values = expression.values or ()
    match expression.operator:
        case "In":
            return expression.key in labels and labels[expression.key] in values
        case "NotIn":
            return expression.key not in labels or labels[expression.key] not in values
        case "Exists":
            return expression.key in labels
        case _:
            return expression.key not in labels


class ListMeta(Struct, frozen=True):
    """Is the metadata of a list: where to watch from and how to get the rest."""

    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")
