"""What a person types becomes a PowerTool, word for word, and is judged before anything is created."""

import re

import msgspec
import pytest

from toe.api.codec import problems_of
from toe.cli.request import UNNAMED, Wish, as_manifest, as_run, in_mode
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


def test_where_files_go_is_as_typed() -> None:
    """A word that belongs to one mode chooses that mode; nothing is written when nothing was said."""
    assert "output" not in as_manifest(WISH)["spec"]
    kept = msgspec.structs.replace(WISH, compress=True, rolling="10s", keep_days=3)
    assert as_manifest(kept)["spec"]["output"] == {
        "mode": "collector",
        "compress": "zstd",
        "rollingInterval": "10s",
        "retentionDays": 3,
    }
    claim = msgspec.structs.replace(WISH, claim="results/web/cpu")
    assert as_manifest(claim)["spec"]["output"] == {"mode": "pvc", "pvc": {"claimName": "results", "path": "web/cpu"}}
    plain = msgspec.structs.replace(WISH, mode="ephemeral")
    assert as_manifest(plain)["spec"]["output"] == {"mode": "ephemeral"}


def test_what_does_not_go_together_is_refused_at_once() -> None:
    """A claim with another mode, a mode without its claim, compression in a log."""
    for wish, field in (
        (msgspec.structs.replace(WISH, mode="collector", claim="results"), "spec.output.pvc"),
        (msgspec.structs.replace(WISH, mode="pvc"), "spec.output.pvc"),
        (msgspec.structs.replace(WISH, mode="ephemeral", compress=True), "spec.output.compress"),
        (msgspec.structs.replace(WISH, claim="results/../other"), "spec.output.pvc.path"),
        (msgspec.structs.replace(WISH, keep_days=0), "spec.output.retentionDays"),
    ):
        with pytest.raises(ComplaintError, match=re.escape(field)):
            as_manifest(wish)


def test_a_mode_is_written_only_where_it_is_not_the_api_s_own() -> None:
    """So that a manifest says what is special about it."""
    made = as_manifest(WISH)
    assert in_mode(made, "ephemeral") == made
    assert in_mode(made, "collector")["spec"]["output"] == {"mode": "collector"}
    stated = as_manifest(msgspec.structs.replace(WISH, mode="ephemeral"))
    assert in_mode(stated, "collector") == stated
