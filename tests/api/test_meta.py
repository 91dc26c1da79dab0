"""What every Kubernetes object carries: label selectors above all."""

from typing import Any

import msgspec
import pytest

from toe.api.meta import LabelSelector, ListMeta, ObjectMeta

LABELS = {"app": "web", "track": "stable", "empty": ""}


def _selector(**raw: Any) -> LabelSelector:
    return msgspec.convert(raw, LabelSelector)


def _expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "web", "track": "canary"}}, False),
        ({"matchLabels": {"absent": ""}}, False),
        ({"matchLabels": {"empty": ""}}, True),
        ({"matchExpressions": [_expression("app", "In", "web", "db")]}, True),
        ({"matchExpressions": [_expression("app", "In", "db")]}, False),
        ({"matchExpressions": [_expression("absent", "In", "db")]}, False),
        ({"matchExpressions": [_expression("app", "NotIn", "web")]}, False),
        ({"matchExpressions": [_expression("app", "NotIn", "db")]}, True),
        ({"matchExpressions": [_expression("absent", "NotIn", "db")]}, True),
        ({"matchExpressions": [_expression("app", "Exists")]}, True),
        ({"matchExpressions": [_expression("absent", "Exists")]}, False),
        ({"matchExpressions": [_expression("app", "DoesNotExist")]}, False),
        ({"matchExpressions": [_expression("absent", "DoesNotExist")]}, True),
        ({"matchLabels": {"app": "web"}, "matchExpressions": [_expression("app", "DoesNotExist")]}, False),
    ],
)
def test_a_selector_matches_as_kubernetes_does(selector: dict[str, Any], matches: bool) -> None:
    """Every entry and every expression must hold."""
    assert _selector(**selector).matches(LABELS) is matches


def test_no_labels_are_matched_by_what_asks_for_nothing() -> None:
    """A pod without labels has an empty map of them."""
    assert _selector().matches(None)
    assert not _selector(matchLabels={"a": "b"}).matches(None)


@pytest.mark.parametrize(
    ("selector", "positive"),
    [
        ({}, False),
        ({"matchLabels": {}}, False),
        ({"matchLabels": {"a": "b"}}, True),
        ({"matchExpressions": [_expression("a", "Exists")]}, True),
        ({"matchExpressions": [_expression("a", "NotIn", "b"), _expression("a", "In", "b")]}, True),
        ({"matchExpressions": [_expression("a", "NotIn", "b"), _expression("a", "DoesNotExist")]}, False),
    ],
)
def test_a_selector_is_positive_when_something_must_be_there(selector: dict[str, Any], positive: bool) -> None:
    """What only forbids matches strangers."""
    assert _selector(**selector).is_positive is positive


def test_a_selector_is_written_as_kubectl_takes_it() -> None:
    """The text goes behind ``-l``."""
    expressions = [
        _expression("a", "In", "x", "y"),
        _expression("b", "NotIn", "z"),
        _expression("c", "Exists"),
        _expression("d", "DoesNotExist"),
    ]
    selector = _selector(matchLabels={"z": "1", "app": "web"}, matchExpressions=expressions)
    assert str(selector) == "app=web,z=1,a in (x,y),b notin (z),c,!d"


def test_objects_are_keyed_by_namespace_and_name() -> None:
    """Caches and queues use the same key."""
    assert ObjectMeta(name="a", namespace="b").key == ("b", "a")


def test_words_of_python_are_not_on_the_wire() -> None:
    """``continue`` is a keyword here and a field there."""
    assert msgspec.json.encode(ListMeta(continue_="x")) == b'{"continue":"x"}'
