"""What is kept is found by reading records once."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.collector.shelf import keep
from toe.api.meta import LabelSelector
from toe.collector.inventory import Inventory
from toe.store.directory import DirectoryStore


class Counting(DirectoryStore):
    """Counts what is read."""

    reads = 0

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        self.reads += 1
        async for piece in super().read(key, start, end):
            yield piece


@pytest.fixture
def store(tmp_path: Path) -> Counting:
    return Counting(tmp_path / "store")


async def test_a_record_is_read_once(store: Counting) -> None:
    """It never changes; a new one is seen at once, and one that is gone is gone."""
    inventory = Inventory(store)
    name = await keep(store)
    for _ in range(3):
        (found,), rest = await inventory.page("shop")
        assert (found.artifact.metadata.name, rest) == (name, "")
    assert store.reads == 1
    other = await keep(store, name="other")
    assert {entry.artifact.metadata.name for entry in (await inventory.page("shop"))[0]} == {name, other}
    assert store.reads == 2
    await store.delete(f"{found.key}.toe.json")
    assert await inventory.find("shop", name) is None
    assert await inventory.find("shop", other) is not None


async def test_only_as_many_records_are_in_memory_as_are_allowed(store: Counting) -> None:
    """The others are read again."""
    inventory = Inventory(store, remembered=3)
    for number in range(10):
        await keep(store, name=str(number))
    for _ in range(2):
        assert len((await inventory.page("shop"))[0]) == 10
        assert len(inventory) == 3
    assert store.reads == 17


async def test_what_is_kept_again_under_its_key_is_read_again(store: Counting) -> None:
    """After it was deleted: the time and size tell."""
    inventory = Inventory(store)
    await keep(store, content=b"one")
    ((first,), _) = await inventory.page("shop")
    await store.delete(first.key)
    await store.delete(f"{first.key}.toe.json")
    await keep(store, content=b"something else")
    ((second,), _) = await inventory.page("shop")
    assert (first.artifact.bytes, second.artifact.bytes) == (3, 14)


async def test_a_page_reads_no_more_than_it_shows(store: Counting) -> None:
    """Of a run whose label is asked for, nothing else is looked at."""
    inventory = Inventory(store)
    for number in range(100):
        await keep(store, name=f"{number:03}")
    await keep(store, run="other")
    entries, rest = await inventory.page("shop", limit=10)
    assert (len(entries), bool(rest), store.reads) == (10, True, 32)
    await inventory.page("shop", LabelSelector({"toe.run/run": "other"}))
    assert store.reads == 33


async def test_the_next_page_is_of_the_list_that_was_begun(store: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory is not read again for it, unless that is long ago, or four others were begun since."""
    inventory = Inventory(store)
    for number in range(4):
        await keep(store, name=str(number))
    first, after = await inventory.page("shop", limit=2)
    await keep(store, name="9")
    assert [e.artifact.file for e in (await inventory.page("shop", after=after))[0]] == ["2", "3"]
    for run in "abcd":
        await inventory.page("shop", LabelSelector({"toe.run/run": run}))
    assert [e.artifact.file for e in (await inventory.page("shop", after=after))[0]] == ["2", "3", "9"]
    assert [e.artifact.file for e in (await inventory.page("shop"))[0]] == ["0", "1", "2", "3", "9"]
    await keep(store, name="99")
    monkeypatch.setattr("toe.collector.inventory.PAGED_SECONDS", 0.0)
    assert len((await inventory.page("shop", after=after))[0]) == 4
    assert len(first) == 2


async def test_many_are_listed_quickly(store: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second time in less than a second, on any machine; docs/reference/figures.md has what was measured."""
    monkeypatch.setattr("os.fsync", lambda file: None)
    for number in range(2000):
        await keep(store, run=f"run-{number % 50}", name=str(number))
    inventory = Inventory(store)
    assert len((await inventory.page("shop"))[0]) == 2000
    began = time.monotonic()
    assert len((await inventory.page("shop"))[0]) == 2000
    assert time.monotonic() - began < 1.0
