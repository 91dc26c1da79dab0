"""A store that is away is no reason to end."""

import asyncio
from pathlib import Path

import pytest

from toe.collector.opening import OpeningStore
from toe.errors import SettingsError, StoreError
from toe.store.directory import DirectoryStore
from toe.store.port import Store


async def test_a_store_is_opened_when_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then every call says so; then it is that store."""
    monkeypatch.setattr("toe.collector.opening.PAUSE", 0.01)
    tries: list[int] = []

    async def opened() -> Store:
        tries.append(1)
        if len(tries) < 3:
            raise SettingsError("no route to host")
        return DirectoryStore(tmp_path / "store")

    store = OpeningStore(opened)
    for call in (store.create("a/b", b""), store.stat("a/b"), store.delete("a/b"), store.free()):
        with pytest.raises(StoreError, match="not open yet"):
            await call
    for stream in (store.read("a/b"), store.list("")):
        with pytest.raises(StoreError, match="not open yet"):
            await anext(stream)
    assert not store.is_open
    await asyncio.wait_for(store.run(), 5)
    assert store.is_open
    await store.create("a/b", b"content")
    kept = await store.stat("a/b")
    assert kept is not None
    assert [found.key async for found in store.list("a/")] == [kept.key]
    assert b"".join([piece async for piece in store.read("a/b", 1, 4)]) == b"ont"
    assert await store.free()
    await store.delete("a/b")
    assert await store.stat("a/b") is None
