"""What a person types becomes a PowerTool, word for word, and is judged before anything is created."""

import pytest

from toe.api.codec import problems_of
from toe.cli.request import UNNAMED, Wish, as_manifest, as_run
from toe.cli.sentences import ComplaintError

WISH = Wish("py-spy", "app=shop", "10s")


def test_a_wish_is_a_manifest_without_anything_else() -> None:
    """What was not asked for is not in it, and the API server would take it."""
    made = as_manifest(WISH)
    assert made["metadata"] == {"generateName": "py-spy-"}
    assert made["spec"] == {
        "targets": {"labelSelector": {"matchLabels": {"app": "shop"}}},
        "tool": {"name": "py-spy", "duration": "10s"},
    }
    assert problems_of(made) == []


def test_expressions_and_names_arrive() -> None:
    """In the API's own form."""
    made = as_manifest(Wish("py-spy", "tier in (a,b),!c", "10s", name="mine"))
    assert made["metadata"] == {"name": "mine"}
    assert made["spec"]["targets"]["labelSelector"] == {
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["a", "b"]},
            {"key": "c", "operator": "DoesNotExist"},
        ]
    }


def test_what_the_schema_refuses_is_told_with_its_field() -> None:
    """All of it, as wrong usage."""
    with pytest.raises(ComplaintError) as raised:
        as_manifest(Wish("x" * 41, "!a", "5"))
    assert raised.value.status == 2
    assert [error.rpartition(" (")[2] for error in raised.value.errors] == [
        "spec.tool.name)",
        "spec.tool.duration)",
        "spec.targets.labelSelector)",
    ]


def test_what_the_server_chooses_is_written_as_such() -> None:
    """Nobody takes it for a name."""
    run = as_run(as_manifest(WISH), "shop")
    assert (run.metadata.name, run.metadata.namespace) == (f"py-spy-{UNNAMED}", "shop")
