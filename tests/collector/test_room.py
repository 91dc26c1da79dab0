"""How much is kept, how much is on its way, and how much may still come."""

import asyncio
from pathlib import Path

from toe.collector.partials import Partials
from toe.collector.room import Quotas, Room
from toe.store.directory import DirectoryStore


async def test_what_is_kept_is_counted_by_namespace_and_our_own_is_not(tmp_path: Path) -> None:
    """Claims and receipts are nobody's files."""
    store = DirectoryStore(tmp_path / "store")
    room = Room(store, Partials(tmp_path / "scratch"), Quotas(), tmp_path / "store")
    for key, size in (("a/1", 3), ("a/2", 4), ("b/1", 5), (".toe/claims/x", 100)):
        await store.create(key, b"x" * size)
    await room.survey()
    assert (room.used("a"), room.used("b"), room.total) == (7, 5, 12)
    assert room.moves
    assert room.last_free > 0


async def test_what_is_announced_is_counted_before_it_comes(tmp_path: Path) -> None:
    """And is free again when it does not."""
    room = Room(DirectoryStore(tmp_path / "store"), Partials(tmp_path / "scratch"), Quotas())
    free = await room.free()
    assert free is not None
    room.announce("a", 1 << 40)
    assert room.used("a") == room.total == 1 << 40
    announced = await room.free()
    assert announced is not None
    assert announced < free - (1 << 39)
    room.written(1 << 40)
    room.keep("a", 1 << 40)
    assert room.used("a") == 1 << 40
    room.keep("a", -(1 << 40))
    room.come("a", -(1 << 40))
    assert room.total == 0
    assert not room.moves


async def test_a_chunk_that_ends_while_it_is_asked_is_not_forgotten(tmp_path: Path) -> None:
    """Its bytes may have come after the volume was looked at."""
    room = Room(DirectoryStore(tmp_path / "store"), Partials(tmp_path / "scratch"), Quotas())
    room.announce("a", 1 << 40)
    asking = asyncio.create_task(room.free())
    await asyncio.sleep(0)
    room.written(1 << 40)
    free = await asking
    assert free is not None
    assert free <= room.last_free - (1 << 40)
