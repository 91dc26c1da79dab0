"""Kept files, as the API and kubectl show them."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tests.builders import NOW
from toe.api.meta import ListMeta, ObjectMeta
from toe.api.time import format_time
from toe.report.artifacts import (
    HEADER,
    KeptArtifact,
    Origin,
    age,
    newest_run,
    partial,
    row,
    table,
)


def a_kept_artifact(**difference: Any) -> KeptArtifact:
    """Is a file of 48 KiB that shop-1 left an hour ago."""
    meta = ObjectMeta(name="k7-0123456789", namespace="shop", creation_timestamp=format_time(NOW - timedelta(hours=1)))
    made = KeptArtifact(
        metadata=meta,
        run=Origin("k7", "uid-k7"),
        tool="py-spy",
        pod=Origin("shop-1", "uid-shop-1"),
        file="profile.folded",
        bytes=48 * 1024,
        sha256="ab" * 32,
        kept_until="2026-12-02T14:00:00Z",
    )
    return msgspec.structs.replace(made, **difference)


def test_a_row_tells_what_people_ask_first() -> None:
    """Name, run, pod, file, size, age, and until when."""
    assert HEADER == ("NAME", "RUN", "POD", "FILE", "SIZE", "AGE", "KEPT UNTIL")
    assert row(a_kept_artifact(), NOW) == (
        "k7-0123456789",
        "k7",
        "shop-1",
        "profile.folded",
        "48 KiB",
        "60m",
        "2026-12-02",
    )


def test_what_is_not_known_is_told_as_kubectl_tells_it() -> None:
    """No time, and no end."""
    found = row(a_kept_artifact(metadata=ObjectMeta(name="x"), kept_until=""), NOW)
    assert found[-2:] == ("<unknown>", "<none>")


def test_nothing_in_a_row_moves_the_cursor() -> None:
    """A tool may call its file what it likes."""
    hostile = a_kept_artifact(file="a\x1b[2Jb\nc\u202e")
    assert row(hostile, NOW)[3] == "a\ufffd[2Jb c\ufffd"
    assert msgspec.json.decode(msgspec.json.encode(hostile), type=KeptArtifact) == hostile


@pytest.mark.parametrize(
    ("include", "kind"), [("None", None), ("Metadata", "PartialObjectMetadata"), ("Object", "Artifact")]
)
def test_a_table_carries_as_much_of_each_object_as_is_asked_for(include: Any, kind: str | None) -> None:
    """kubectl takes the namespace from there."""
    found = table([a_kept_artifact()], ListMeta("1", "more"), NOW, include=include)
    assert (found["kind"], found["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert found["metadata"] == {"resourceVersion": "1", "continue": "more"}
    (only,) = found["rows"]
    assert only.get("object", {}).get("kind") == kind
    assert len(only["cells"]) == len(found["columnDefinitions"])
    assert [column["priority"] for column in found["columnDefinitions"]] == [0] * len(HEADER) + [1, 1]


def test_the_metadata_can_be_had_alone() -> None:
    """In both versions that clients know."""
    found = partial(a_kept_artifact(), "v1beta1")
    assert found["apiVersion"] == "meta.k8s.io/v1beta1"
    assert found["metadata"]["name"] == "k7-0123456789"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-60, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (200, "3m20s"),
        (3600, "60m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (30 * 3600, "30h"),
        (51 * 3600, "2d3h"),
        (9 * 86400, "9d"),
        (800 * 86400, "2y70d"),
        (4000 * 86400, "10y"),
    ],
)
def test_an_age_is_written_as_kubectl_writes_it(seconds: int, text: str) -> None:
    """The two largest units where they say something."""
    assert age(timedelta(seconds=seconds)) == text


def test_of_two_runs_of_one_name_the_newest_counts() -> None:
    """A run can be deleted and made again; its files stay."""
    old = a_kept_artifact(run=Origin("k7", "old"), metadata=ObjectMeta(creation_timestamp="2026-01-01T00:00:00Z"))
    assert newest_run([old, a_kept_artifact()]) == "uid-k7"
