"""What is kept, as people may list it: read from the records in the store, of which none ever changes.

A name is found without a directory of names: it begins with the run's, and ends with a hash of the key.
"""

import asyncio
import bisect
import hashlib
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator

import structlog

from toe.api.meta import LabelSelector, ObjectMeta, Struct
from toe.api.time import format_time
from toe.errors import DecodeError, MissingError
from toe.report.artifacts import POD_LABEL, RUN_LABEL, RUN_UID_LABEL, TOOL_LABEL, KeptArtifact, Origin
from toe.store.names import artifact_name, content_key, is_record, record_key
from toe.store.port import Kept, Store
from toe.store.records import MOST_BYTES, Record, read_record

REMEMBERED = 50_000
"""Records in memory at most; one takes about 1.5 KiB."""
AT_ONCE = 32
"""Records that are read at the same time: an object store takes its time for each."""
PAGED_SECONDS, PAGED_LISTS = 60.0, 4
"""How long, and of how many lists, the next page is of what the first one found."""
_EVERYTHING = LabelSelector()
_log = structlog.get_logger(__name__)


class Entry(Struct, frozen=True):
    """Is one kept file: the key of its content, and the object that people see."""

    key: str
    artifact: KeptArtifact


class Inventory:
    """Lists what a store keeps."""

    def __init__(self, store: Store, *, remembered: int = REMEMBERED) -> None:
        self._store, self._most = store, remembered
        self._known: OrderedDict[tuple[str, float, int], Entry | None] = OrderedDict()
        self._lists: OrderedDict[str, tuple[float, list[Kept]]] = OrderedDict()

    def __len__(self) -> int:
        """Is how many records are in memory."""
        return len(self._known)

    async def find(self, namespace: str, name: str) -> Entry | None:
        """Returns the artifact of this name; None when there is none."""
        run = name.rpartition("-")[0]
        if not run:
            return None
        async for kept in self._store.list(f"{namespace}/{run}/"):
            if is_record(kept.key) and artifact_name(run, content_key(kept.key)) == name:
                return await self._entry(kept)
        return None

    async def page(
        self, namespace: str, selector: LabelSelector = _EVERYTHING, *, name: str = "", limit: int = 0, after: str = ""
    ) -> tuple[list[Entry], str]:
        """Returns up to ``limit`` artifacts (0: all) whose records' keys come after ``after``, in the order of keys.

        ``namespace`` is empty for all of them. The text is what the next page comes after; empty when this is the last.
        """
        if name and namespace:
            found = await self.find(namespace, name)
            return ([found] if found and selector.matches(found.artifact.metadata.labels) else []), ""
        run = (selector.match_labels or {}).get(RUN_LABEL, "") if namespace else ""
        prefix = "".join(f"{part}/" for part in (namespace, run) if part)
        entries: list[Entry] = []
        async for entry in self._entries(prefix, after):
            meta = entry.artifact.metadata
            if not selector.matches(meta.labels) or (name and meta.name != name):
                continue
            if limit and len(entries) == limit:
                return entries, record_key(entries[-1].key)
            entries.append(entry)
        return entries, ""

    async def _entries(self, prefix: str, after: str) -> AsyncIterator[Entry]:
        """Yields what is below a prefix; a handful of records is read at once, and no more than are asked for."""
        records = await self._records(prefix, is_next=bool(after))
        first = bisect.bisect_right(records, after, key=lambda kept: kept.key)
        for start in range(first, len(records), AT_ONCE):
            for entry in await self._together(records[start : start + AT_ONCE]):
                yield entry

    async def _records(self, prefix: str, *, is_next: bool) -> list[Kept]:
        """Lists what is there now, in the order of keys; for the next page of a list what its first one found."""
        found = self._lists.get(prefix)
        if is_next and found is not None and time.monotonic() - found[0] < PAGED_SECONDS:
            return found[1]
        records = [kept async for kept in self._store.list(prefix) if is_record(kept.key)]
        records.sort(key=lambda kept: kept.key)
        self._lists[prefix] = (time.monotonic(), records)
        self._lists.move_to_end(prefix)
        while len(self._lists) > PAGED_LISTS:
            self._lists.popitem(last=False)
        return records

    async def _together(self, records: list[Kept]) -> list[Entry]:
        known = [self._known.get(_identity(kept)) for kept in records]
        if all(known):
            return [entry for entry in known if entry]
        found = await asyncio.gather(*(self._entry(kept) for kept in records))
        return [entry for entry in found if entry]

    async def _entry(self, kept: Kept) -> Entry | None:
        """Reads a record, unless it is known; None when it is gone, or is none."""
        identity = _identity(kept)
        if identity in self._known:
            self._known.move_to_end(identity)
            return self._known[identity]
        try:
            entry = await self._read(kept)
        except MissingError:
            return None
        self._known[identity] = entry
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return entry

    async def _read(self, kept: Kept) -> Entry | None:
        content = b"".join([piece async for piece in self._store.read(kept.key, 0, MOST_BYTES + 1)])
        key = content_key(kept.key)
        try:
            record = read_record(content)
        except DecodeError as error:
            _log.warning("a record cannot be understood", key=kept.key, error=str(error))
            return None
        if record.key != key or [record.namespace, record.run] != key.split("/")[:2]:
            _log.error("a record is not about what it stands beside", key=kept.key)
            return None
        return Entry(key, _artifact(key, record))


def _identity(kept: Kept) -> tuple[str, float, int]:
    """Returns what tells a record from another that was kept under its key, after the first was deleted."""
    return kept.key, kept.modified, kept.size


def _artifact(key: str, record: Record) -> KeptArtifact:
    digest = hashlib.sha256(key.encode()).digest()
    labels = {
        RUN_LABEL: record.run,
        RUN_UID_LABEL: record.run_uid,
        TOOL_LABEL: record.tool,
        POD_LABEL: record.pod,
    }
    return KeptArtifact(
        metadata=ObjectMeta(
            name=artifact_name(record.run, key),
            namespace=record.namespace,
            uid=str(uuid.UUID(bytes=digest[:16], version=5)),
            resource_version="1",
            creation_timestamp=format_time(record.kept_at),
            labels=labels,
        ),
        run=Origin(record.run, record.run_uid),
        tool=record.tool,
        pod=Origin(record.pod, record.pod_uid),
        container=record.container,
        file=record.name,
        bytes=record.bytes,
        sha256=record.sha256,
        kept_until=format_time(record.keep_until) if record.keep_until else "",
    )
