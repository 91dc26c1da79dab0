"""What is deleted when, and what never is.

An artifact goes in three steps: its receipt is written, its record is deleted, its content is deleted. A crash after
any of them leaves what the next pass finishes: a record that still stands is an artifact as before, and content without
a record is none and goes too. So nothing is promised that is gone, and nothing stays for ever without being listed.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
import structlog

from toe.api.meta import Struct
from toe.errors import DecodeError, ExistsError, MissingError, StoreError, ToeError
from toe.store.names import (
    CLAIMS,
    COMPLETE,
    DOWNLOADS,
    HOLDS,
    INCOMING,
    OWN,
    RECEIPTS,
    SESSIONS,
    content_key,
    hold_key,
    is_record,
    receipt_key,
    record_key,
    run_uid_digits,
)
from toe.store.port import Kept, Store
from toe.store.records import MOST_BYTES, Record, read_record

Why = Literal["Expired", "LimitExceeded"]
_Fate = Literal["gone", "held", "left"]
"""Left is what the store did not delete."""

LATE = timedelta(hours=1)
"""Artifacts go so much later than they may: a clock that is an hour ahead takes nothing too early."""
AT_ONCE = 16
"""Records that are read at the same time."""
_log = structlog.get_logger(__name__)


class Rules(Struct, frozen=True):
    """Is what the administrator decided."""

    limit: int | None = None
    """Bytes of all artifacts together; above it the oldest go first. None: no limit."""
    orphans_after: timedelta = timedelta(days=1)
    """Content without a record is removed after this time: far more than there can be between the two."""
    markers_after: timedelta = timedelta(days=30)
    """What was claimed and completed is forgotten after this time: far more than a ticket is good for."""
    evidence_after: timedelta | None = None
    """Receipts and the records of downloads are removed after this time. None: never."""


class Receipt(Struct, frozen=True, omit_defaults=False):
    """Says what was deleted, when and why. Where the record still stands, the deletion was begun and has not ended."""

    deleted_at: Annotated[datetime, msgspec.Meta(tz=True)]
    why: Why
    record: Record


class Pass(Struct, frozen=True):
    """Is what one pass did, and what it found and left."""

    expired: int = 0
    over_limit: int = 0
    orphans: int = 0
    """Content without a record."""
    others: int = 0
    """Markers, old evidence, probes."""
    freed: int = 0
    """Bytes of what was deleted: contents and their records."""
    kept: int = 0
    """Bytes of what is left."""
    held: int = 0
    """Artifacts that would have gone but for a legal hold."""
    failed: int = 0
    """Deletions that the store did not do; the next pass tries again."""
    unreadable: tuple[str, ...] = ()
    """Records that cannot be understood, or are about something else; they and their contents stay."""
    missing: tuple[str, ...] = ()
    """Contents that are gone though their records stand: somebody deleted them by hand."""


class _Artifact(Struct, frozen=True, gc=False):
    """Is what a pass must know of an artifact; 100,000 of them are in memory."""

    key: str
    modified: float
    """Of the record: one that was kept anew under the same key is another."""
    size: int
    kept_at: datetime
    keep_until: datetime | None
    namespace: str
    run_uid: str


class Retention:
    """Deletes by rules. Remembers records between passes, since none ever changes; several may do it at once."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self._store, self._rules = store, rules
        self._known: dict[str, _Artifact] = {}

    async def run(self, now: datetime) -> Pass:
        """Does one pass. Raises StoreError when the store cannot be listed or read; what was done stays done."""
        return await _Pass(self._store, self._rules, self._known, now).run()


class _Pass:
    def __init__(self, store: Store, rules: Rules, known: dict[str, _Artifact], now: datetime) -> None:
        self._store, self._rules, self._known, self._now = store, rules, known, now
        self._holds: set[tuple[str, str]] = set()
        self._seen: dict[str, _Artifact] = {}
        self._expired = self._over_limit = self._orphans = self._others = self._freed = self._total = 0
        self._held: set[str] = set()
        self._failed = 0
        self._unreadable: list[str] = []
        self._missing: list[str] = []

    async def run(self) -> Pass:
        self._holds = {(parts[-2], parts[-1]) async for parts in self._names(HOLDS) if len(parts) == 4}
        # First: on a volume that is full, a receipt needs the room.
        await self._remove_others()
        async for group in self._groups():
            await self._look_at(group)
        self._known.clear()
        self._known.update(self._seen)
        await self._keep_the_limit()
        return Pass(
            expired=self._expired,
            over_limit=self._over_limit,
            orphans=self._orphans,
            others=self._others,
            freed=self._freed,
            kept=self._total,
            held=len(self._held),
            failed=self._failed,
            unreadable=tuple(self._unreadable),
            missing=tuple(self._missing),
        )

    async def _names(self, prefix: str) -> AsyncIterator[list[str]]:
        async for kept in self._store.list(prefix):
            yield kept.key.split("/")

    async def _groups(self) -> AsyncIterator[list[Kept]]:
        """Yields what came by uploads, a pod of a run at a time: a record and its content need not be neighbours."""
        group: list[Kept] = []
        async for kept in self._store.list(""):
            if kept.key.startswith(OWN) or not run_uid_digits(kept.key):
                continue
            if group and _place(group[0]) != _place(kept):
                yield group
                group = []
            group.append(kept)
        if group:
            yield group

    async def _look_at(self, group: list[Kept]) -> None:
        contents = {kept.key: kept for kept in group if not is_record(kept.key)}
        records = {content_key(kept.key): kept for kept in group if is_record(kept.key)}
        for key, kept in contents.items():
            if key not in records:
                await self._look_at_orphan(kept)
        for some in _slices(list(records.items())):
            found = await asyncio.gather(*(self._artifact(key, kept, contents.get(key)) for key, kept in some))
            for artifact in found:
                if artifact is not None:
                    await self._look_at_artifact(artifact, artifact.key in contents)

    async def _look_at_orphan(self, kept: Kept) -> None:
        self._total += kept.size
        if not self._is_older(kept, self._rules.orphans_after) or self._may_be_held(kept.key):
            return
        # The record may have come after its place in the list was passed.
        if await self._store.stat(record_key(kept.key)) is None and await self._delete(kept.key):
            self._orphans += 1
            self._gone(kept.size)
            _log.info("content without a record deleted", key=kept.key, bytes=kept.size)

    async def _look_at_artifact(self, artifact: _Artifact, has_content: bool) -> None:
        self._total += artifact.size
        if artifact.keep_until is not None and artifact.keep_until + LATE < self._now:
            if await self._retire(artifact, "Expired") == "gone":
                self._expired += 1
                return
        elif not has_content and await self._store.stat(artifact.key) is None:
            self._missing.append(artifact.key)
        self._seen[artifact.key] = artifact

    async def _keep_the_limit(self) -> None:
        if self._rules.limit is None or self._total <= self._rules.limit:
            return
        for artifact in sorted(self._known.values(), key=lambda each: (each.kept_at, each.key)):
            if self._total <= self._rules.limit:
                return
            match await self._retire(artifact, "LimitExceeded"):
                case "gone":
                    self._over_limit += 1
                    del self._known[artifact.key]
                case "left":
                    # A younger one does not go in its stead: it is tried again.
                    return

    async def _retire(self, artifact: _Artifact, why: Why) -> _Fate:
        """Deletes an artifact, unless it is held."""
        try:
            if await self._is_held(artifact):
                self._held.add(artifact.key)
                return "held"
            content = await self._content(record_key(artifact.key))
            receipt = Receipt(self._now, why, read_record(content))
            with suppress(ExistsError):
                await self._store.create(
                    receipt_key(content, receipt.record.kept_at.astimezone(UTC).date()), msgspec.json.encode(receipt)
                )
            await self._store.delete(record_key(artifact.key))
            await self._store.delete(artifact.key)
        except MissingError:
            # Another one is deleting it; if that one dies, its content is without a record, and goes as such.
            return "left"
        except (StoreError, DecodeError) as error:
            self._complain(artifact.key, error)
            return "left"
        self._gone(artifact.size)
        _log.info("artifact deleted", key=artifact.key, why=why, bytes=artifact.size)
        return "gone"

    async def _remove_others(self) -> None:
        rules = self._rules
        for prefix, after in (
            (CLAIMS, rules.markers_after),
            (COMPLETE, rules.markers_after),
            (SESSIONS, rules.markers_after),
            (INCOMING, rules.orphans_after),
            (RECEIPTS, rules.evidence_after),
            (DOWNLOADS, rules.evidence_after),
        ):
            if after is None:
                continue
            async for kept in self._store.list(prefix):
                if self._is_older(kept, after) and await self._delete(kept.key):
                    self._others += 1

    async def _artifact(self, key: str, kept: Kept, content: Kept | None) -> _Artifact | None:
        """Returns what is to be known of an artifact; None when its record is gone, or cannot be understood."""
        known = self._known.get(key)
        if known is not None and known.modified == kept.modified:
            return known
        try:
            record = read_record(await self._content(kept.key))
        except MissingError:
            return None
        except DecodeError:
            record = None
        if record is None or record.key != key or not key.startswith(f"{record.namespace}/{record.run}/"):
            self._unreadable.append(kept.key)
            self._total += kept.size + (content.size if content else 0)
            return None
        size = kept.size + (content.size if content else 0)
        return _Artifact(key, kept.modified, size, record.kept_at, record.keep_until, record.namespace, record.run_uid)

    async def _content(self, key: str) -> bytes:
        return b"".join([piece async for piece in self._store.read(key, 0, MOST_BYTES + 1)])

    async def _delete(self, key: str) -> bool:
        try:
            await self._store.delete(key)
        except StoreError as error:
            self._complain(key, error)
            return False
        return True

    def _complain(self, key: str, error: ToeError) -> None:
        self._failed += 1
        _log.warning("not deleted, and tried again at the next pass", key=key, error=str(error))

    def _gone(self, size: int) -> None:
        self._freed += size
        self._total -= size

    def _is_older(self, kept: Kept, age: timedelta) -> bool:
        return self._now.timestamp() - kept.modified > age.total_seconds()

    async def _is_held(self, artifact: _Artifact) -> bool:
        """Tells whether a hold is on its run; asks again, since one may have come after the pass began."""
        held = (artifact.namespace, artifact.run_uid)
        return held in self._holds or await self._store.stat(hold_key(*held)) is not None

    def _may_be_held(self, key: str) -> bool:
        """Tells whether a hold may be on the run of a content without a record: its key has a part of the UID."""
        namespace, digits = key.partition("/")[0], run_uid_digits(key)
        return any(held == namespace and uid.startswith(digits) for held, uid in self._holds)


def _place(kept: Kept) -> str:
    return kept.key.rpartition("/")[0]


def _slices(records: "list[tuple[str, Kept]]") -> Iterator[Iterable[tuple[str, Kept]]]:
    for start in range(0, len(records), AT_ONCE):
        yield records[start : start + AT_ONCE]
