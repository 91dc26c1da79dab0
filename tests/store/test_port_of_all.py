"""What the port promises, of every store."""

import asyncio
import hashlib
import os
import random
from pathlib import Path

import pytest

from tests.store.bad_names import BAD_NAMES
from tests.store.test_names import WHERE
from toe.errors import ExistsError, MissingError, StoreError
from toe.store.names import artifact_key
from toe.store.objects import PART_BYTES
from toe.store.port import Kept, Store

KEY = "production/slow/2026-10-24-6f1c2a9e/checkout-7d9f4/flame.svg"
LARGE = random.Random(1).randbytes(PART_BYTES * 2 + 12_345)


async def content_of(store: Store, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([piece async for piece in store.read(key, start, end)])


async def keys_of(store: Store, prefix: str = "") -> list[str]:
    return [kept.key async for kept in store.list(prefix)]


def a_file(tmp_path: Path, content: bytes, name: str = "finished") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("content", [b"", b"x", os.urandom(61), LARGE], ids=["empty", "small", "61", "large"])
@pytest.mark.parametrize("way", ["bytes", "file"])
async def test_what_is_created_is_kept(store: Store, tmp_path: Path, content: bytes, way: str) -> None:
    """Bytes come back, in pieces of at most 1 MiB; a file is gone where it was."""
    file = a_file(tmp_path, content)

    await store.create(KEY, file if way == "file" else content)

    pieces = [piece async for piece in store.read(KEY)]
    assert b"".join(pieces) == content
    assert max(map(len, pieces), default=0) <= 1024 * 1024
    kept = await store.stat(KEY)
    assert kept is not None
    assert (kept.key, kept.size) == (KEY, len(content))
    assert [kept] == [each async for each in store.list("")]
    assert file.exists() == (way == "bytes")


@pytest.mark.parametrize("first", [b"", b"first", LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("second", [b"", b"second", LARGE[::-1]], ids=["empty", "small", "large"])
async def test_what_is_kept_never_changes(store: Store, tmp_path: Path, first: bytes, second: bytes) -> None:
    """A second content of a key is refused, and its file stays."""
    await store.create(KEY, a_file(tmp_path, first))
    file = a_file(tmp_path, second)

    with pytest.raises(ExistsError, match=KEY):
        await store.create(KEY, file)
    with pytest.raises(ExistsError, match=KEY):
        await store.create(KEY, second)

    assert await content_of(store, KEY) == first
    assert file.read_bytes() == second


async def test_of_fifty_at_once_one_is_kept(store: Store) -> None:
    """And the others are told so."""
    contents = [b"%d" % number * 1000 for number in range(50)]

    found = await asyncio.gather(*(store.create(KEY, content) for content in contents), return_exceptions=True)

    won = [content for content, each in zip(contents, found, strict=True) if each is None]
    assert [type(each) for each in found].count(ExistsError) == 49
    assert [await content_of(store, KEY)] == won


async def test_of_many_large_ones_at_once_one_is_kept(store: Store, tmp_path: Path) -> None:
    """Also where it comes in parts; a small one beside them counts too."""
    contents = [bytes([number]) * (PART_BYTES + 1 + number) for number in range(8)]
    files = [a_file(tmp_path, content, f"{number}") for number, content in enumerate(contents)]

    found = await asyncio.gather(
        *(store.create(KEY, content) for content in (*files, b"small")), return_exceptions=True
    )

    won = [content for content, each in zip((*contents, b"small"), found, strict=True) if each is None]
    assert len(won) == 1
    assert all(each is None or isinstance(each, StoreError) for each in found)
    assert hashlib.sha256(await content_of(store, KEY)).digest() == hashlib.sha256(won[0]).digest()
    assert await keys_of(store) == [KEY]


@pytest.mark.parametrize(
    ("start", "end"), [(0, 0), (0, 1), (1, 3), (5, None), (9, 100), (10, None), (10, 20), (99, None), (3, 3), (4, 2)]
)
async def test_a_range_is_read(store: Store, start: int, end: int | None) -> None:
    """As Python slices it; beyond the end there is nothing, and no error."""
    await store.create(KEY, b"0123456789")

    assert await content_of(store, KEY, start, end) == b"0123456789"[start:end]


async def test_a_range_of_a_large_one_is_read(store: Store, tmp_path: Path) -> None:
    """Over the borders of pieces, requests and parts."""
    await store.create(KEY, a_file(tmp_path, LARGE))

    for start, end in [(PART_BYTES - 1, PART_BYTES + 1), (1, len(LARGE) - 1), (1024 * 1024 - 3, 3 * 1024 * 1024 + 5)]:
        assert await content_of(store, KEY, start, end) == LARGE[start:end]


async def test_what_is_not_there_is_missing(store: Store) -> None:
    """Told when it is read; a deletion of nothing is no error."""
    assert await store.stat(KEY) is None
    with pytest.raises(MissingError, match=KEY):
        await content_of(store, KEY)
    await store.delete(KEY)
    assert await keys_of(store, "production/") == []


async def test_what_is_deleted_is_gone(store: Store, tmp_path: Path) -> None:
    """And its key is free again, for large and small."""
    for content in (b"x", a_file(tmp_path, LARGE), b"y"):
        await store.create(KEY, content)
        await store.delete(KEY)

    assert await store.stat(KEY) is None
    assert await keys_of(store) == []


async def test_keys_are_listed_in_their_order(store: Store) -> None:
    """Of whole names, whatever stands between names and their continuations."""
    keys = ["a/b/c", "a/b.d/c", "a/b-d/c", "a/b", "a/bb/x", "a/B/x", "a/%41/x", "b/x", ".toe/claims/x.json", "a/b0/x"]
    keys.remove("a/b")
    for key in random.sample(keys, len(keys)):
        await store.create(key, key.encode())

    assert await keys_of(store) == sorted(keys)
    assert await keys_of(store, "a/") == sorted(key for key in keys if key.startswith("a/"))
    assert await keys_of(store, "a/b/") == ["a/b/c"]
    assert await keys_of(store, ".toe/") == [".toe/claims/x.json"]
    assert await keys_of(store, "a/b/c/") == []


async def test_a_list_has_many_pages(store: Store) -> None:
    """More than one request or directory brings."""
    keys = [f"a/{number % 7}/{number:04}" for number in range(2300)]
    for start in range(0, len(keys), 100):
        await asyncio.gather(*(store.create(key, b"") for key in keys[start : start + 100]))

    assert await keys_of(store) == sorted(keys)


async def test_a_list_survives_deletions(store: Store) -> None:
    """What is deleted while it is read is there or not; what stays is there."""
    keys = [f"a/{number}/x" for number in range(20)]
    for key in keys:
        await store.create(key, b"")

    seen = []
    async for kept in store.list(""):
        seen.append(kept)
        await store.delete(keys[-1])

    assert {kept.key for kept in seen} >= set(keys[:-1])


@pytest.mark.parametrize(
    "key", ["", "..", "a/../b", "/a", "a//b", "a/", ".partial/x", "a\x00", "ä", "a" * 256], ids=ascii
)
async def test_what_is_no_key_is_refused(store: Store, key: str) -> None:
    """By everything that takes one."""
    with pytest.raises(StoreError):
        await store.create(key, b"")
    with pytest.raises(StoreError):
        await store.stat(key)
    with pytest.raises(StoreError):
        await content_of(store, key)
    with pytest.raises(StoreError):
        await store.delete(key)
    with pytest.raises(StoreError):
        await keys_of(store, f"{key}//")


async def test_bad_names_are_kept_apart(store: Store) -> None:
    """The hundred names of T55: each is a file of its own, below the run, and comes back."""
    keys = {artifact_key(**WHERE, name=name): name.encode("utf-8", "surrogatepass") for name in BAD_NAMES}
    await asyncio.gather(*(store.create(key, content) for key, content in keys.items()))

    assert await keys_of(store, "production/slow/2026-10-24-6f1c2a9e/p-1/") == sorted(keys)
    for key, content in keys.items():
        assert await content_of(store, key) == content


@pytest.mark.parametrize("kind", ["nothing", "directory", "link", "pipe"])
async def test_a_content_is_a_regular_file(store: Store, tmp_path: Path, kind: str) -> None:
    """Anything else is refused and keeps nothing."""
    path = tmp_path / "finished"
    match kind:
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "link":
            path.symlink_to(a_file(tmp_path, b"secret", "other"))

    with pytest.raises(StoreError):
        await store.create(KEY, path)

    assert await keys_of(store) == []


async def test_room_is_told(store: Store) -> None:
    """A number, or None where there is no end."""
    room = await store.free()

    assert room is None or room > 0


async def test_when_it_came_is_told(store: Store, tmp_path: Path) -> None:
    """In seconds since the epoch; of a moved file, when it was moved."""
    old = a_file(tmp_path, b"old")
    os.utime(old, (1, 1))
    await store.create("a/old", old)
    await store.create("a/new", b"new")

    old_kept, new_kept = await store.stat("a/old"), await store.stat("a/new")
    assert isinstance(old_kept, Kept)
    assert isinstance(new_kept, Kept)
    assert abs(old_kept.modified - new_kept.modified) < 60


async def test_a_reader_may_stop(store: Store, tmp_path: Path) -> None:
    """Nothing stays open."""
    await store.create(KEY, a_file(tmp_path, LARGE))
    before = len(os.listdir("/proc/self/fd"))

    for _ in range(20):
        pieces = store.read(KEY)
        await anext(pieces)
        await pieces.aclose()

    assert len(os.listdir("/proc/self/fd")) <= before + 8
