"""Sessions: what one supervisor has claimed and brought so far. Made anew from the store and the partial files.

So a replica that was killed, or never heard of a session, goes on where the bytes are: what has a record is whole, what
is partial goes on, and content without a record is compared at its commit.
"""

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime

from aiohttp import StreamReader

from toe.api.meta import Struct
from toe.collector.claims import Claim, Claims, hash_of
from toe.collector.partials import Partials
from toe.collector.room import Room
from toe.collector.runs import Stop
from toe.errors import DecodeError, MissingError
from toe.store.names import content_key, is_record, record_key
from toe.store.port import Store
from toe.store.records import MOST_BYTES, Record, read_record

IDLE_SECONDS = 300.0
"""After this long without a word a session is made anew when it speaks again."""


class Kept(Struct, frozen=True):
    """Is a file that is kept, with its record."""

    bytes: int
    sha256: str


class File:
    """Is one file of a session. ``kept`` is set when it is whole and kept; ``running`` is made when it is needed."""

    def __init__(self, id: str, name: str, key: str, offset: int = 0) -> None:  # noqa: A002 the wire calls it so
        self.id, self.name, self.key, self.offset = id, name, key, offset
        self.kept: Kept | None = None
        self.is_stored = False
        """Whether its content is in the store without a record."""
        self.running: hashlib._Hash | None = None
        self.lock = asyncio.Lock()
        self.body: StreamReader | None = None
        self.is_syncing = False


class Session:
    """Is one claimed ticket with its files."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.files: dict[str, File] = {}
        self.opening = asyncio.Lock()
        self.received = 0
        """Bytes of all files, kept, coming or announced."""
        self.is_complete = False
        self.answer: Stop | None = None
        """What its lease was told last; good as of ``answered_at``."""
        self.answered_at: float | None = None
        self.heard_at = 0.0
        self.active = 0

    def file_id(self, name: str) -> str:
        """Returns what a file is called on the wire: the same whoever makes the session anew."""
        return hashlib.sha256(f"{self.claim.ticket}/{name}".encode()).hexdigest()[:32]

    @property
    def kept(self) -> list[Kept]:
        """Is what is whole."""
        return [file.kept for file in self.files.values() if file.kept is not None]


class Sessions:
    """Finds sessions, in memory or by making them anew."""

    def __init__(
        self,
        store: Store,
        claims: Claims,
        partials: Partials,
        room: Room,
        threads: ThreadPoolExecutor,
        clock: Callable[[], datetime],
    ) -> None:
        self._store, self.claims, self._partials, self._room = store, claims, partials, room
        self._threads, self._clock = threads, clock
        self._sessions: dict[str, Session] = {}
        self._making = asyncio.Lock()

    @property
    def open(self) -> int:
        """Is how many sessions may still bring something."""
        now = self._clock()
        return sum(not s.is_complete and s.claim.expires_at > now for s in self._sessions.values())

    async def find(self, session: str) -> Session | None:
        """Returns the session that this secret belongs to; None when nobody claimed anything with it."""
        digest = hash_of(session)
        found = self._sessions.get(digest)
        if found is None:
            claim = await self.claims.of_session(digest)
            if claim is None:
                return None
            found = await self.of_claim(claim)
        found.heard_at = asyncio.get_running_loop().time()
        return found

    async def of_claim(self, claim: Claim) -> Session:
        """Returns the session of a claim."""
        async with self._making:
            found = self._sessions.get(claim.session)
            if found is None:
                found = await self._make(claim)
                found.heard_at = asyncio.get_running_loop().time()
                self._sessions[claim.session] = found
            return found

    async def _make(self, claim: Claim) -> Session:
        session = Session(claim)
        session.is_complete = await self.claims.is_ended(claim)
        contents: dict[str, int] = {}
        records: list[Record] = []
        async for kept in self._store.list(claim.prefix):
            if is_record(kept.key):
                record = await self.record(content_key(kept.key))
                if record is not None and _is_of(record, claim):
                    records.append(record)
            else:
                contents[kept.key] = kept.size
        for record in records:
            file = File(session.file_id(record.name), record.name, record.key, record.bytes)
            file.kept = Kept(record.bytes, record.sha256)
            session.files[file.id] = file
            session.received += record.bytes
        loop = asyncio.get_running_loop()
        for begun in await loop.run_in_executor(self._threads, self._partials.scan, claim.ticket):
            if begun.id in session.files or begun.id != session.file_id(begun.name):
                await loop.run_in_executor(self._threads, self._partials.remove, claim.ticket, begun.id)
                continue
            file = File(begun.id, begun.name, claim.key_of(begun.name), begun.offset or 0)
            if begun.offset is None and file.key in contents:
                file.is_stored, file.offset = True, contents[file.key]
            else:
                self._room.come(claim.namespace, file.offset)
            session.files[file.id] = file
            session.received += file.offset
        return session

    async def record(self, key: str) -> Record | None:
        """Returns the record of a content; None when there is none."""
        content = bytearray()
        with suppress(MissingError, DecodeError):
            async for piece in self._store.read(record_key(key), 0, MOST_BYTES + 1):
                content += piece
            return read_record(bytes(content))
        return None

    def rest(self) -> None:
        """Forgets sessions that have said nothing for long; they are made anew when they do."""
        now = asyncio.get_running_loop().time()
        for digest, session in list(self._sessions.items()):
            if not session.active and now - session.heard_at > IDLE_SECONDS:
                del self._sessions[digest]
                self._give_up_room(session)

    async def drop(self, claim: Claim) -> int:
        """Removes what is not whole of a session that has ended, and tells how many files it were."""
        session = self._sessions.get(claim.session) or await self._make(claim)
        loop = asyncio.get_running_loop()
        for file in list(session.files.values()):
            async with file.lock:  # a commit that is under way ends first, with its record
                if file.kept is None and file.is_stored and await self.record(file.key) is None:
                    await self._store.delete(file.key)
        removed = await loop.run_in_executor(self._threads, self._partials.drop, claim.ticket)
        self._give_up_room(session)
        session.files = {file.id: file for file in session.files.values() if file.kept is not None}
        session.received = sum(kept.bytes for kept in session.kept)
        return removed

    def _give_up_room(self, session: Session) -> None:
        coming = sum(file.offset for file in session.files.values() if file.kept is None and not file.is_stored)
        self._room.come(session.claim.namespace, -coming)


def _is_of(record: Record, claim: Claim) -> bool:
    return (record.run_uid, record.pod_uid, record.container) == (claim.run_uid, claim.pod_uid, claim.container)
