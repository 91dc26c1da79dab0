"""What a session may do: hold a lease, bring files in chunks, have them kept, and end. Each step is judged.

Nothing of a file is trusted before it is verified, and nothing is kept before it is whole: a chunk counts when its
sha256 fits, a file when the sha256 of all of it does, and it exists when its record is written.
"""

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Literal, TypeVar

import msgspec
import structlog
from aiohttp import StreamReader

from toe.api.meta import Struct
from toe.api.reasons import Reason
from toe.collector.claims import Claim
from toe.collector.denials import (
    DenialError,
    already_complete,
    bad_request,
    denied,
    not_ready,
    store_full,
    wrong_offset,
)
from toe.collector.pace import Paced, replace
from toe.collector.partials import Partials, write_at
from toe.collector.room import Room
from toe.collector.runs import Runs, Stop, stop_of
from toe.collector.sessions import File, Kept, Session, Sessions
from toe.errors import ExistsError, StoreError
from toe.policy.chains import evaluate_upload
from toe.policy.upload import UploadRequest
from toe.policy.verdict import Denied
from toe.store.names import artifact_name, record_key
from toe.store.port import Store
from toe.store.records import Record, write_record

CHUNK_BYTES = 4 * 1024 * 1024
WRITE_BYTES = 512 * 1024
"""Written and hashed at once, in a thread, while the next ones come."""
MOST_WAITING_BYTES = 32 * 1024 * 1024
"""Of all chunks together: with many of them at once each waits with less."""
MOST_SYNCING = 2
"""Files that the disk is told to write at once, before their commits do: more would keep the threads from writing."""
MOST_NAME_BYTES = 512
_FULL = (errno.ENOSPC, errno.EDQUOT)
T = TypeVar("T")
_log = structlog.get_logger(__name__)


class Terms(Struct, frozen=True):
    """Is what the administrator decided about all uploads."""

    lease_seconds: float = 30.0
    retention_days: int = 7
    """Of a run that says nothing, and the most that one may ask for."""
    compares_addresses: bool = False
    chunk_bytes: int = CHUNK_BYTES


class Uploads:
    """Does what sessions ask, once the judge has allowed it. DenialError where he has not."""

    def __init__(
        self,
        store: Store,
        sessions: Sessions,
        partials: Partials,
        room: Room,
        runs: Runs,
        terms: Terms,
        threads: ThreadPoolExecutor,
        clock: Callable[[], datetime],
    ) -> None:
        self._store, self._sessions, self._partials, self._room = store, sessions, partials, room
        self._runs, self.terms, self._threads, self._clock = runs, terms, threads, clock
        self._receiving = self._syncing = 0
        self.kept = 0
        """How many files were kept since the start."""

    def judge(self, claim: Claim, peer: str, **facts: int | None) -> None:
        """Returns when the judge allows a step; ``facts`` is what it adds."""
        if not self._runs.live:
            raise not_ready("what is known of runs is stale")
        quotas = self._room.quotas
        request = UploadRequest(
            run=self._runs.find(claim.namespace, claim.run, claim.run_uid),
            run_uid=claim.run_uid,
            expires=claim.expires_at,
            now=self._clock(),
            peer=peer,
            pod_addresses=claim.pod_ips if self.terms.compares_addresses else None,
            max_bytes=claim.max_bytes,
            namespace_used=self._room.used(claim.namespace),
            namespace_quota=quotas.namespace,
            total_used=self._room.total,
            total_quota=quotas.total,
            low_water=quotas.low_water,
        )
        verdict = evaluate_upload(msgspec.structs.replace(request, **facts))
        if isinstance(verdict, Denied):
            raise denied(verdict)

    def is_over(self, claim: Claim) -> bool:
        """Tells whether nothing more may ever come with a ticket; False while nobody knows."""
        try:
            self.judge(claim, "")
        except DenialError as denial:
            return denial.reason == Reason.RUN_OVER
        return False

    def stop(self, claim: Claim) -> Stop | None:
        """Returns why the tool is to end, as far as is known."""
        run = self._runs.find(claim.namespace, claim.run, claim.run_uid)
        return stop_of(run, suspended=self._runs.is_suspended(claim.tool))

    def lease(self, session: Session, peer: str) -> Stop | None:
        """Answers a renewal; while nothing is known the last answer counts, no longer than a lease."""
        now = asyncio.get_running_loop().time()
        if self._runs.live:
            self._renewable(session.claim, peer)
            session.answer, session.answered_at = self.stop(session.claim), now
        elif session.answered_at is None or now - session.answered_at > self.terms.lease_seconds:
            raise not_ready("what is known of runs is stale")
        return session.answer

    def _renewable(self, claim: Claim, peer: str) -> None:
        """Refuses one whose ticket has expired or that comes from elsewhere; the rest of a run's state is a stop."""
        try:
            self.judge(claim, peer, received=0, max_bytes=0)
        except DenialError:
            if self.stop(claim) is None:
                raise

    async def open(self, session: Session, name: str, *, restart: bool, peer: str) -> tuple[File, bool]:
        """Returns the file of this name, and whether it is new."""
        self._open_for_more(session)
        claim = session.claim
        try:
            size = len(name.encode())
        except UnicodeEncodeError:
            raise bad_request("a name is UTF-8") from None
        if not 1 <= size <= MOST_NAME_BYTES:
            raise bad_request(f"a name has 1 to {MOST_NAME_BYTES} bytes")
        id = session.file_id(name)  # noqa: A001 the wire calls it so
        async with session.opening:
            file = session.files.get(id)
            if file is None:
                self.judge(claim, peer, received=session.received, files=len(session.files) + 1)
                file = File(id, name, claim.key_of(name))
                await self._take_over(session, file)
                if file.kept is None:
                    await self._on_disk(self._partials.begin, claim.ticket, id, name)
                session.files[id] = file
                session.received += file.offset
                if restart and file.is_stored:
                    await self._begin_anew(session, file)
                return file, file.kept is None
        self.judge(claim, peer, received=session.received, files=len(session.files))
        if restart:
            replace(file.body)
            async with file.lock:
                if file.kept is not None:
                    raise already_complete("a file of this name is kept already")
                await self._begin_anew(session, file)
        return file, False

    async def put(
        self,
        session: Session,
        file: File,
        offset: int,
        sha256: str,
        body: tuple[StreamReader, int],
        peer: str,
        go_on: Callable[[], Awaitable[None]],
    ) -> int:
        """Takes a chunk and returns where the file goes on; ``go_on`` is called before the body is read."""
        content, length = body
        claim, namespace = session.claim, session.claim.namespace
        replace(file.body)  # whoever sends again has given up the connection before
        async with file.lock:
            self._open_for_more(session)
            if file.kept is not None:
                raise already_complete("the file is kept already")
            free = await self._room.free()
            self.judge(claim, peer, received=session.received, size=length, files=len(session.files), free=free)
            if offset != file.offset:
                raise wrong_offset(file.offset)
            self._room.announce(namespace, length)
            session.received += length
            counted = False
            file.body = content
            try:
                await go_on()
                running = await self._receive(session, file, Paced(content, length), sha256)
                self.judge(claim, peer, received=session.received, files=len(session.files))
                await self._on_disk(self._partials.mark, claim.ticket, file.id, offset + length)
                file.offset, file.running, counted = offset + length, running, True
            finally:
                file.body = None
                self._room.written(length)
                if not counted:
                    self._room.come(namespace, -length)
                    session.received -= length
        self._sync(session, file)
        return file.offset

    async def _receive(self, session: Session, file: File, paced: Paced, sha256: str) -> "hashlib._Hash":
        """Writes a chunk behind what counts and returns the sha256 of all so far; the chunk does not count yet."""
        ticket, at = session.claim.ticket, file.offset
        whole = (await self._running(session, file)).copy()
        digest = hashlib.sha256()
        descriptor: int = await self._on_disk(self._partials.open, ticket, file.id, at)
        writing: asyncio.Future[None] | None = None
        good = False
        self._receiving += 1
        try:
            pieces: list[bytes] = []
            waiting = 0
            while True:
                piece = await paced.read()
                pieces.append(piece)
                waiting += len(piece)
                if waiting and (not piece or waiting >= min(WRITE_BYTES, MOST_WAITING_BYTES // self._receiving)):
                    if writing is not None:
                        await writing
                    writing = self._in_thread(write_at, descriptor, at, pieces, (digest, whole))
                    at, pieces, waiting = at + waiting, [], 0
                if not piece:
                    break
            if writing is not None:
                await writing
            if digest.hexdigest() != sha256:
                raise DenialError(422, "ChunkDamaged", "the chunk is not what its digest says")
            good = True
            return whole
        except OSError as error:
            raise _disk(error) from error
        finally:
            self._receiving -= 1
            if writing is not None and not writing.done():
                await asyncio.wait({writing})
            try:
                if not good:
                    os.ftruncate(descriptor, file.offset)
            finally:
                os.close(descriptor)

    async def commit(self, session: Session, file: File, size: int, sha256: str, peer: str) -> tuple[str, bool]:
        """Keeps a file that is whole and returns its key, and whether it was kept now."""
        claim = session.claim
        async with file.lock:
            if file.kept is not None:
                return self._kept_already(file, size, sha256)
            self._open_for_more(session)
            await self._judge_commit(session, file, peer)
            if file.is_stored:
                whole = size == file.offset and await self._stored_sha256(file) == sha256
            else:
                whole = size == file.offset and (await self._running(session, file)).hexdigest() == sha256
            if not whole:
                await self._begin_anew(session, file)
                raise DenialError(422, "FileDamaged", "the file is not what was announced, and begins anew")
            if not file.is_stored:
                await self._on_disk(self._partials.sync, claim.ticket, file.id)
                await self._still_wanted(session, file, peer)
                await self._store_content(session, file, sha256)
            await self._still_wanted(session, file, peer)
            await self._write_record(session, file, size, sha256)
            file.is_stored, file.running, file.kept = False, None, Kept(size, sha256)
            self.kept += 1
            await self._on_disk(self._partials.remove, claim.ticket, file.id)
            return file.key, True

    async def _judge_commit(self, session: Session, file: File, peer: str) -> None:
        """Judges what keeping a file adds: nothing, or the room of a copy where the store is another volume."""
        claim = session.claim
        copied = 0 if self._room.moves or file.is_stored else file.offset
        self.judge(
            claim,
            peer,
            size=copied,
            received=session.received - copied,
            files=len(session.files),
            namespace_used=self._room.used(claim.namespace) - copied,
            total_used=self._room.total - copied,
            free=await self._room.free() if copied else None,
        )

    async def complete(self, session: Session) -> tuple[int, int]:
        """Ends a session: what is not whole is given up. Returns how many files and bytes were kept."""
        if not session.is_complete:
            for file in session.files.values():
                replace(file.body)
            async with session.opening:
                await self._sessions.claims.end(session.claim, b"{}")
                session.is_complete = True
                await self._sessions.drop(session.claim)
        kept = session.kept
        return len(kept), sum(one.bytes for one in kept)

    def _open_for_more(self, session: Session) -> None:
        if session.is_complete:
            raise already_complete("the session said that it was complete")

    @staticmethod
    def _kept_already(file: File, size: int, sha256: str) -> tuple[str, bool]:
        if file.kept == Kept(size, sha256):
            return file.key, False
        raise already_complete("a file of this name is kept already")

    async def _still_wanted(self, session: Session, file: File, peer: str) -> None:
        """Judges once more; what is not wanted any more is discarded."""
        try:
            self.judge(session.claim, peer, received=session.received, files=len(session.files))
        except DenialError as error:
            if error.status != 503:
                await self._begin_anew(session, file)
            raise

    async def _store_content(self, session: Session, file: File, sha256: str) -> None:
        """Moves the bytes to where they are kept; content without a record that is there already may be the same."""
        claim = session.claim
        for _ in range(2):
            try:
                async with _storing():
                    await self._store.create(file.key, self._partials.path(claim.ticket, file.id))
                break
            except ExistsError:
                if await self._sessions.record(file.key) is not None:
                    raise already_complete("a file of this name is kept already") from None
                if await self._stored_sha256(file) == sha256:
                    break
                await self._store.delete(file.key)
        else:
            raise not_ready("somebody else keeps a file of this name now")
        file.is_stored = True
        self._room.keep(claim.namespace, file.offset)

    async def _write_record(self, session: Session, file: File, size: int, sha256: str) -> None:
        record = self._record(session.claim, file, size, sha256)
        try:
            async with _storing():
                await self._store.create(record_key(file.key), write_record(record))
        except ExistsError:
            kept = await self._sessions.record(file.key)
            if kept is None or (kept.bytes, kept.sha256) != (size, sha256):
                raise already_complete("a file of this name is kept already") from None

    def _record(self, claim: Claim, file: File, size: int, sha256: str) -> Record:
        run = self._runs.find(claim.namespace, claim.run, claim.run_uid)
        now = self._clock()
        days = min(claim.retention_days or self.terms.retention_days, self.terms.retention_days)
        compressed = run is not None and run.spec.output.compress == "zstd" and file.name.endswith(".zst")
        encoding: Literal["", "zstd"] = "zstd" if compressed else ""
        return Record(
            key=file.key,
            artifact=artifact_name(claim.run, file.key),
            name=file.name,
            namespace=claim.namespace,
            run=claim.run,
            run_uid=claim.run_uid,
            tool=claim.tool,
            pod=claim.pod,
            pod_uid=claim.pod_uid,
            container=claim.container,
            target=claim.target,
            bytes=size,
            sha256=sha256,
            kept_at=now,
            keep_until=now + timedelta(days=days),
            encoding=encoding,
            requester=run.spec.requester.username if run is not None and run.spec.requester else "",
        )

    async def _take_over(self, session: Session, file: File) -> None:
        """Looks for content that is there before the file was opened: kept, or without a record."""
        content = await self._store.stat(file.key)
        if content is None:
            return
        record, claim = await self._sessions.record(file.key), session.claim
        if record is None:
            file.is_stored = True
        elif (record.run_uid, record.pod_uid, record.container) == (claim.run_uid, claim.pod_uid, claim.container):
            file.kept = Kept(record.bytes, record.sha256)
        else:
            raise already_complete("a file of this name is kept already")
        file.offset = content.size

    async def _begin_anew(self, session: Session, file: File) -> None:
        """Gives up what came of a file."""
        if file.is_stored:
            async with _storing():
                await self._store.delete(file.key)
            self._room.keep(session.claim.namespace, -file.offset)
        self._room.come(session.claim.namespace, -file.offset)
        session.received -= file.offset
        file.is_stored, file.offset, file.running = False, 0, None
        await self._on_disk(self._partials.reset, session.claim.ticket, file.id)

    async def _running(self, session: Session, file: File) -> "hashlib._Hash":
        """Returns the sha256 of what counts, computed from the disk after a restart; what is damaged begins anew."""
        if file.running is None:
            if not file.offset:
                file.running = hashlib.sha256()
                return file.running
            try:
                file.running = await self._in_thread(self._partials.digest, session.claim.ticket, file.id, file.offset)
            except OSError as error:
                _log.warning("a partial file is damaged", error=str(error))
                await self._begin_anew(session, file)
                raise DenialError(422, "FileDamaged", "what had come is damaged, and begins anew") from None
        return file.running

    async def _stored_sha256(self, file: File) -> str:
        digest = hashlib.sha256()
        async for piece in self._store.read(file.key):
            await self._in_thread(digest.update, piece)
        return digest.hexdigest()

    def _sync(self, session: Session, file: File) -> None:
        """Lets the disk write what came while more is coming, so that the commit does not wait for all of it."""
        if not file.is_syncing and self._syncing < MOST_SYNCING:
            file.is_syncing = True
            self._syncing += 1

            def synced(done: asyncio.Future[None]) -> None:
                file.is_syncing = False
                self._syncing -= 1
                if not done.cancelled():
                    done.exception()  # the commit finds out too

            self._in_thread(self._partials.sync, session.claim.ticket, file.id).add_done_callback(synced)

    def _in_thread(self, call: Callable[..., T], *arguments: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    async def _on_disk(self, call: Callable[..., T], *arguments: object) -> T:
        try:
            return await self._in_thread(call, *arguments)
        except OSError as error:
            raise _disk(error) from error


def _disk(error: OSError) -> DenialError:
    """Says what a disk that does not do what is asked means for the sender."""
    if error.errno in _FULL:
        return store_full()
    _log.error("a partial file cannot be written", error=str(error))
    return not_ready("the collector cannot write now")


@asynccontextmanager
async def _storing() -> AsyncIterator[None]:
    """Says what a store that does not do what is asked means for the sender."""
    try:
        yield
    except ExistsError:
        raise
    except StoreError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in _FULL:
            raise store_full() from error
        raise
