"""Retention: what is past its time goes with a receipt; what is held stays; a crash anywhere mends itself."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from obstore.store import MemoryStore

from tests.store.test_port_of_all import keys_of
from tests.store.test_records import RECORD
from toe.errors import MissingError, StoreError
from toe.store.names import (
    CLAIMS,
    COMPLETE,
    DOWNLOADS,
    INCOMING,
    RECEIPTS,
    SESSIONS,
    artifact_key,
    artifact_name,
    hold_key,
    is_record,
    record_key,
)
from toe.store.objects import ObjectStore
from toe.store.port import Kept, Store
from toe.store.records import Record, read_record, write_record
from toe.store.retention import LATE, Pass, Receipt, Retention, Rules

DAY = timedelta(days=1)
UID = "6f1c2a9e-0000-4000-8000-000000000000"


def now_of(kept: Kept | None) -> datetime:
    assert kept is not None
    return datetime.fromtimestamp(kept.modified, UTC)


async def the_present(store: Store) -> datetime:
    """By the clock of the store, which content without a record is measured by."""
    await store.create("clock", b"")
    found = now_of(await store.stat("clock"))
    await store.delete("clock")
    return found


def a_record(name: str, content: bytes, kept_at: datetime, days: int | None = 7, uid: str = UID) -> Record:
    key = artifact_key(
        namespace="production", run="slow", run_uid=uid, day=kept_at.date(), pod="checkout-7d9f4", name=name
    )
    return msgspec.structs.replace(
        RECORD,
        key=key,
        artifact=artifact_name("slow", key),
        name=name,
        run_uid=uid,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        kept_at=kept_at,
        keep_until=None if days is None else kept_at + timedelta(days=days),
    )


async def keep(
    store: Store, name: str, kept_at: datetime, *, content: bytes = b"x", days: int | None = 7, uid: str = UID
) -> str:
    record = a_record(name, content, kept_at, days, uid)
    await store.create(record.key, content)
    await store.create(record_key(record.key), write_record(record))
    return record.key


async def receipts_of(store: Store) -> list[Receipt]:
    return [
        msgspec.json.decode(b"".join([piece async for piece in store.read(key)]), type=Receipt)
        for key in await keys_of(store, RECEIPTS)
    ]


@pytest.fixture
def memory() -> ObjectStore:
    return ObjectStore(MemoryStore())


async def test_what_is_past_its_time_goes(store: Store) -> None:
    """With its record, and with a receipt that says all of it; the rest stays."""
    now = await the_present(store)
    old = await keep(store, "old.svg", now - 8 * DAY)
    young = await keep(store, "young.svg", now - 6 * DAY)
    for_ever = await keep(store, "for-ever.svg", now - 3000 * DAY, days=None)

    done = await Retention(store, Rules()).run(now)

    assert (done.expired, done.orphans, done.failed, done.missing) == (1, 0, 0, ())
    assert {key for key in await keys_of(store) if not key.startswith(".toe/")} == {
        young,
        record_key(young),
        for_ever,
        record_key(for_ever),
    }
    (receipt,) = await receipts_of(store)
    assert receipt == Receipt(now, "Expired", a_record("old.svg", b"x", now - 8 * DAY))
    assert receipt.record.key == old
    assert await keys_of(store, RECEIPTS) == [key async for key in _receipt_keys(store, now - 8 * DAY)]


async def _receipt_keys(store: Store, day: datetime) -> AsyncIterator[str]:
    async for kept in store.list(f"{RECEIPTS}{day:%Y-%m-%d}/"):
        yield kept.key


async def test_a_clock_that_is_an_hour_ahead_takes_nothing(memory: ObjectStore) -> None:
    """What may go goes an hour later."""
    now = await the_present(memory)
    await keep(memory, "x", now - 7 * DAY)

    assert (await Retention(memory, Rules()).run(now + LATE)).expired == 0
    assert (await Retention(memory, Rules()).run(now + LATE + timedelta(seconds=1))).expired == 1


async def test_a_clock_that_went_back_takes_nothing(memory: ObjectStore) -> None:
    """Nor does it fail."""
    now = await the_present(memory)
    await keep(memory, "x", now)

    assert await Retention(memory, Rules()).run(now - 30 * DAY) == Pass(kept=(await sizes(memory)))


async def sizes(store: Store) -> int:
    return sum([kept.size async for kept in store.list("")])


async def test_above_the_limit_the_oldest_go(store: Store) -> None:
    """Until what is left is within it, and no more."""
    now = await the_present(store)
    keys = [await keep(store, f"{9 - age}", now - age * DAY, content=bytes(100_000)) for age in range(6)]

    done = await Retention(store, Rules(limit=320_000)).run(now)

    left = [key for key in await keys_of(store, "production/") if not is_record(key)]
    assert sorted(left) == sorted(keys[:3])
    assert (done.over_limit, done.expired) == (3, 0)
    assert 300_000 <= done.kept <= 320_000
    assert {receipt.why for receipt in await receipts_of(store)} == {"LimitExceeded"}


async def test_a_legal_hold_keeps_a_run(store: Store) -> None:
    """From its time, from the limit, and content without a record too; as long as it stands."""
    now = await the_present(store)
    other_uid = "77777777-0000-4000-8000-000000000000"
    held = await keep(store, "held", now - 100 * DAY)
    await keep(store, "other", now - 100 * DAY, uid=other_uid)
    bare = a_record("bare", b"", now).key
    await store.create(bare, b"")
    await store.create(hold_key("production", UID), b"case 17")

    done = await Retention(store, Rules(limit=0)).run(now + 2 * DAY)

    assert (done.expired, done.held, done.orphans) == (1, 1, 0)
    assert await keys_of(store, "production/") == sorted([held, record_key(held), bare])
    await store.delete(hold_key("production", UID))
    done = await Retention(store, Rules(limit=0)).run(now + 2 * DAY)
    assert (done.expired, done.held, done.orphans) == (1, 0, 1)
    assert await keys_of(store, "production/") == []


async def test_a_hold_that_comes_during_a_pass_counts(memory: ObjectStore) -> None:
    """It is asked for again before each deletion."""
    now = await the_present(memory)
    await keep(memory, "x", now - 100 * DAY)

    class Late(Delegate):
        async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
            if await self.inner.stat(hold_key("production", UID)) is None:
                await self.inner.create(hold_key("production", UID), b"")
            async for piece in self.inner.read(key, start, end):
                yield piece

    assert (await Retention(Late(memory), Rules()).run(now)).held == 1


async def test_content_without_a_record_goes_after_a_day(store: Store) -> None:
    """It was never acknowledged, or its record was deleted before a crash; what is foreign stays."""
    now = await the_present(store)
    bare = a_record("bare", b"", now).key
    await store.create(bare, b"12345")
    await store.create("lost/and/found", b"")

    assert (await Retention(store, Rules()).run(now + DAY / 2)).orphans == 0
    done = await Retention(store, Rules()).run(now + 2 * DAY)

    assert (done.orphans, done.freed) == (1, 5)
    assert await keys_of(store) == ["lost/and/found"]


async def test_a_record_that_comes_during_a_pass_keeps_its_content(memory: ObjectStore) -> None:
    """The list was read before it came."""
    now = await the_present(memory)
    record = a_record("late", b"x", now, days=100)
    await memory.create(record.key, b"x")

    class Late(Delegate):
        async def stat(self, key: str) -> Kept | None:
            await self.inner.create(record_key(record.key), write_record(record))
            return await self.inner.stat(key)

    assert (await Retention(Late(memory), Rules()).run(now + 2 * DAY)).orphans == 0
    assert await memory.stat(record.key) is not None


async def test_markers_of_long_past_runs_go(store: Store) -> None:
    """Evidence only where a time is set for it."""
    now = await the_present(store)
    keys = [f"{prefix}x/y" for prefix in (CLAIMS, COMPLETE, SESSIONS, INCOMING, RECEIPTS, DOWNLOADS)]
    for key in keys:
        await store.create(key, b"")
    await store.create(hold_key("n", "u"), b"")

    assert (await Retention(store, Rules()).run(now + DAY / 2)).others == 0
    assert (await Retention(store, Rules()).run(now + 2 * DAY)).others == 1
    assert (await Retention(store, Rules()).run(now + 31 * DAY)).others == 3
    assert await keys_of(store) == sorted([*keys[4:], hold_key("n", "u")])
    assert (await Retention(store, Rules(evidence_after=400 * DAY)).run(now + 401 * DAY)).others == 2
    assert await keys_of(store) == [hold_key("n", "u")]


async def test_what_cannot_be_understood_stays_and_is_told(memory: ObjectStore) -> None:
    """A damaged record, and one that was copied from elsewhere; and contents that somebody took away."""
    now = await the_present(memory)
    damaged, copied = a_record("damaged", b"", now - 100 * DAY), a_record("copied", b"", now - 100 * DAY)
    for record, content in ((damaged, b"{"), (copied, write_record(damaged))):
        await memory.create(record.key, b"")
        await memory.create(record_key(record.key), content)
    gone = await keep(memory, "gone", now)
    await memory.delete(gone)

    done = await Retention(memory, Rules(limit=0)).run(now + 2 * DAY)

    assert sorted(done.unreadable) == sorted([record_key(damaged.key), record_key(copied.key)])
    assert done.missing == (gone,)
    assert await memory.stat(damaged.key) is not None
    assert await memory.stat(copied.key) is not None


async def test_a_record_is_read_once(memory: ObjectStore) -> None:
    """None ever changes, and an object store takes its time; but one that was kept anew is another."""
    now = await the_present(memory)
    reads: list[str] = []

    class Counted(Delegate):
        def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
            reads.append(key)
            return self.inner.read(key, start, end)

    retention = Retention(Counted(memory), Rules())
    key = await keep(memory, "x", now)
    for _ in range(3):
        await retention.run(now)
    assert reads == [record_key(key)]
    await memory.delete(key)
    await memory.delete(record_key(key))
    assert await keep(memory, "x", now, days=1) == key

    assert (await retention.run(now + 3 * DAY)).expired == 1


async def test_passes_at_once_write_one_receipt(memory: ObjectStore) -> None:
    """Collectors share a store, and none waits for another."""
    now = await the_present(memory)
    for number in range(20):
        await keep(memory, f"{number}", now - 8 * DAY)

    done = await asyncio.gather(*(Retention(memory, Rules()).run(now) for _ in range(3)))

    assert sum(each.expired for each in done) >= 20
    assert sum(each.failed for each in done) == 0
    assert len(await receipts_of(memory)) == 20
    assert await keys_of(memory, "production/") == []


class Delegate:
    """Is a store that asks another."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner

    async def create(self, key: str, content: bytes | Path) -> None:
        await self.inner.create(key, content)

    async def stat(self, key: str) -> Kept | None:
        return await self.inner.stat(key)

    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        return self.inner.read(key, start, end)

    def list(self, prefix: str) -> AsyncIterator[Kept]:
        return self.inner.list(prefix)

    async def delete(self, key: str) -> None:
        await self.inner.delete(key)

    async def free(self) -> int | None:
        return await self.inner.free()


class CrashError(Exception):
    """Ends the program at this point."""


class Fragile(Delegate):
    """Is a store whose n-th call ends in an error, before or after it did what was asked."""

    def __init__(self, inner: Store, at: int, error: Exception, *, after: bool) -> None:
        super().__init__(inner)
        self.left, self.error, self.after = at, error, after

    def _counted(self) -> bool:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise self.error
        return self.left == 0

    async def create(self, key: str, content: bytes | Path) -> None:
        fails = self._counted()
        await self.inner.create(key, content)
        if fails:
            raise self.error

    async def stat(self, key: str) -> Kept | None:
        self._counted()
        return await self.inner.stat(key)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        self._counted()
        async for piece in self.inner.read(key, start, end):
            yield piece

    async def list(self, prefix: str) -> AsyncIterator[Kept]:
        self._counted()
        async for kept in self.inner.list(prefix):
            yield kept

    async def delete(self, key: str) -> None:
        fails = self._counted()
        await self.inner.delete(key)
        if fails:
            raise self.error


async def a_full_house(store: Store, now: datetime) -> None:
    """Two that expired, one that is too much, one that is held, one that stays, one bare content, old markers."""
    held = "77777777-0000-4000-8000-000000000000"
    await keep(store, "expired-1", now - 8 * DAY)
    await keep(store, "expired-2", now - 9 * DAY)
    await keep(store, "too-much", now - 6 * DAY, content=bytes(50_000))
    await keep(store, "held", now - 100 * DAY, uid=held)
    await keep(store, "stays", now - 1 * DAY, content=bytes(50_000))
    await store.create(a_record("bare", b"", now).key, b"")
    await store.create(hold_key("production", held), b"")
    await store.create(f"{CLAIMS}x.json", b"")


async def expect_sound(store: Store) -> None:
    """No record promises what is gone, and no artifact is gone without a receipt."""
    keys = set(await keys_of(store))
    receipts = {receipt.record.name for receipt in await receipts_of(store)}
    records = [key for key in keys if is_record(key)]
    for key in records:
        assert key.removesuffix(".toe.json") in keys
    names = {read_record(b"".join([piece async for piece in store.read(key)])).name for key in records}
    assert {"expired-1", "expired-2", "too-much", "held", "stays"} - names <= receipts


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "error", [CrashError(), StoreError("no"), MissingError("no")], ids=["crash", "error", "missing"]
)
async def test_a_pass_may_end_at_any_step(error: Exception, after: bool) -> None:
    """Whatever is left is sound, and the next pass makes the same of it as if nothing had happened."""
    whole = ObjectStore(MemoryStore())
    now = await the_present(whole) + 2 * DAY
    rules = Rules(limit=60_000, markers_after=DAY)
    await a_full_house(whole, now)
    calls = Fragile(whole, 1_000_000, error, after=False)
    expected = await Retention(calls, rules).run(now)
    steps = 1_000_000 - calls.left
    assert (expected.expired, expected.over_limit, expected.orphans, expected.others) == (2, 1, 1, 1)
    assert steps > 25

    for step in range(1, steps + 1):
        store = ObjectStore(MemoryStore())
        await a_full_house(store, now)
        retention = Retention(Fragile(store, step, error, after=after), rules)
        try:
            await retention.run(now)
        except (CrashError, StoreError):
            retention = Retention(store, rules)
        await expect_sound(store)
        await retention.run(now)
        await expect_sound(store)
        assert [key for key in await keys_of(store) if not key.startswith(RECEIPTS)] == [
            key for key in await keys_of(whole) if not key.startswith(RECEIPTS)
        ]
        assert len(await receipts_of(store)) == 3
        assert (await Retention(store, rules).run(now)).freed == 0
