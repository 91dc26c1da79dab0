"""Names of users are data: no file outside the root, none over another."""

import random
import re
from datetime import date

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.store.bad_names import BAD_NAMES
from toe.errors import StoreError
from toe.store.names import (
    MOST_KEY_BYTES,
    MOST_SEGMENT_BYTES,
    artifact_key,
    artifact_name,
    claim_key,
    complete_key,
    content_key,
    file_segment,
    hold_key,
    is_record,
    key_parts,
    prefix_parts,
    receipt_key,
    record_key,
    run_uid_digits,
)

WHERE = {"namespace": "production", "run": "slow", "run_uid": "6f1c2a9e-1", "day": date(2026, 10, 24), "pod": "p-1"}
NAMES = st.text(min_size=1, max_size=512) | st.text("./\\%-a\x00", min_size=1, max_size=600)


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("flame.svg", "flame.svg"),
        ("a/b", "a%2Fb"),
        ("..", "%2E."),
        (".toe.json", "%2Etoe.json"),
        ("a.toe.json", "a%2Etoe.json"),
        ("a%2Etoe.json", "a%252Etoe.json"),
        ("größe", "gr%C3%B6%C3%9Fe"),
        ("a b", "a%20b"),
        ("a" * 150, "a" * 150),
    ],
)
def test_a_file_is_named_so_that_a_person_reads_it(name: str, segment: str) -> None:
    """What needs no escape has none."""
    assert file_segment(name) == segment


def test_a_long_name_is_cut_and_told_apart() -> None:
    """Where it is cut, no escape is cut, and a hash of the whole follows."""
    for begin in ("", "x", "xx"):
        one, other = file_segment(begin + "ä" * 100), file_segment(begin + "ä" * 101)

        assert one != other
        assert re.fullmatch("x*(%[0-9A-F]{2})+-[0-9a-f]{32}", one)


@settings(max_examples=1000, deadline=None)
@given(NAMES, NAMES)
@example("a", "a.toe.json")
@example("x" * 149 + "ä", "x" * 149 + "ö")
def test_a_name_is_one_segment_and_nobody_elses(one: str, other: str) -> None:
    """One name of a key, within bounds, no record, and the same only for the same name."""
    first, second = file_segment(one), file_segment(other)

    assert key_parts(first) == (first,)
    assert len(record_key(first)) <= MOST_SEGMENT_BYTES
    assert not is_record(f"n/r/d/p/{first}")
    assert (first == second) == (one == other)
    assert record_key(first) != second
    assert file_segment(first) != first or first == one


def test_of_20_000_names_no_two_are_one() -> None:
    """Of letters that are escapes, separators and their neighbours, short and too long."""
    letters = "./\\%25-EFaä\x00"
    names = {"".join(random.choices(letters, k=random.choice([1, 2, 3, 4, 8, 160, 300]))) for _ in range(40_000)}
    names = set(list(names)[:20_000])

    segments = {file_segment(name) for name in names}

    assert len(segments) == len(names) == 20_000
    assert all(key_parts(segment) == (segment,) for segment in segments)
    assert not segments & {record_key(segment) for segment in segments}


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_a_bad_name_is_data(name: str) -> None:
    """The hundred names of T55 are five names of a key as every other."""
    key = artifact_key(**WHERE, name=name)

    assert key.startswith("production/slow/2026-10-24-6f1c2a9e/p-1/")
    assert len(key_parts(key)) == 5


def test_bad_names_are_told_apart() -> None:
    """None of the hundred is another."""
    assert len(BAD_NAMES) >= 100
    assert len({file_segment(name) for name in BAD_NAMES}) == len(set(BAD_NAMES)) == len(BAD_NAMES)


@pytest.mark.parametrize("field", ["namespace", "run", "pod"])
@pytest.mark.parametrize("bad", ["", ".", "..", ".toe", "A", "a/b", "a%2Fb", "-a", "a\n", "ä", "a" * 254])
def test_a_name_that_kubernetes_does_not_give_is_refused(field: str, bad: str) -> None:
    """Even from a ticket of ours."""
    with pytest.raises(StoreError):
        artifact_key(**(WHERE | {field: bad}), name="x")


def test_a_uid_is_one() -> None:
    """It is part of a path."""
    with pytest.raises(StoreError):
        artifact_key(**(WHERE | {"run_uid": "../x"}), name="x")


def test_a_file_without_a_name_is_none() -> None:
    """Nothing is kept for it."""
    with pytest.raises(StoreError):
        file_segment("")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/../b",
        ".toe",
        "a/.toe/b",
        ".partial/x",
        ".Toe/x",
        "a\x00",
        "a\\b",
        "a b",
        "ä",
        "a\n",
        "~a",
        "a" * 256,
        "/".join("a" * 17),
        "/".join(["a" * 200] * 6),
    ],
    ids=ascii,
)
def test_what_is_no_key_is_refused(key: str) -> None:
    """Before any of it reaches a file system."""
    with pytest.raises(StoreError):
        key_parts(key)


def test_the_longest_names_fit() -> None:
    """What Kubernetes allows, and the longest file name."""
    longest = {"namespace": "n" * 63, "run": "r" * 253, "pod": "p" * 253}
    key = artifact_key(**(WHERE | longest), name="/" * 512)

    assert len(record_key(key)) <= MOST_KEY_BYTES


@pytest.mark.parametrize(
    ("prefix", "parts"),
    [("", ()), ("a/", ("a",)), ("a/b/", ("a", "b")), (".toe/", (".toe",)), (".toe/a/", (".toe", "a"))],
)
def test_a_prefix_is_of_whole_names(prefix: str, parts: tuple[str, ...]) -> None:
    """Or none at all."""
    assert prefix_parts(prefix) == parts


@pytest.mark.parametrize("prefix", ["a", "/", "../", ".partial/", "a//"])
def test_a_part_of_a_name_is_no_prefix(prefix: str) -> None:
    """Stores would not agree on it."""
    with pytest.raises(StoreError):
        prefix_parts(prefix)


def test_keys_of_our_own_are_keys() -> None:
    """And none of them is an artifact."""
    keys = [claim_key("x"), complete_key("x"), hold_key("n", "u"), receipt_key(b"k", date(2026, 10, 24))]

    assert [key for key in keys if is_record(key) or not key_parts(key)] == []
    assert len(set(keys)) == 4
    assert claim_key("x").startswith(".toe/claims/2d711642b726b044")


def test_a_record_stands_beside_its_content() -> None:
    """And leads back to it."""
    assert content_key(record_key("a/b")) == "a/b"
    assert is_record(record_key("a/b"))
    assert not is_record(".toe/x.toe.json")
    assert artifact_name("slow", "a/b") == "slow-c14cddc033"


@pytest.mark.parametrize(
    ("key", "digits"),
    [
        ("n/r/2026-10-24-6f1c2a9e/p/x", "6f1c2a9e"),
        ("n/r/2026-10-24-u/p/x.toe.json", "u"),
        ("n/r/2026-10-24/p/x", ""),
        ("n/r/2026-10-24-6f1c2a9e/p", ""),
        ("n/r/2026-10-24-6f1c2a9e/p/x/y", ""),
        (".toe/claims/x.json", ""),
        ("lost/found", ""),
    ],
)
def test_a_key_tells_its_run(key: str, digits: str) -> None:
    """What has another shape is nothing that came by an upload."""
    assert run_uid_digits(key) == digits
