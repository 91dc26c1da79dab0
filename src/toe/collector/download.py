"""Bytes to people: a range or all, never shown by a browser, and never before it is written down who gets them."""

import asyncio
import base64
import re
import secrets
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime

import msgspec
import structlog
from aiohttp import web
from multidict import CIMultiDict

from toe.api.meta import Struct
from toe.api.time import format_time
from toe.collector.inventory import Entry
from toe.collector.people import Person, Right
from toe.collector.ranges import Span, wanted
from toe.collector.refusals import RefusedError, later, not_found
from toe.errors import MissingError, StoreError
from toe.report.artifacts import KeptArtifact
from toe.store.names import OWN
from toe.store.port import Store

MOST, MOST_OF_ONE = 128, 16
"""Downloads at the same time, in all and of one person."""
STALL_SECONDS = 60.0
"""How long somebody may take no byte at all."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_WORD = re.compile(r"[A-Za-z0-9-]{1,64}")
_log = structlog.get_logger(__name__)


class Receiver(Struct, frozen=True, omit_defaults=False):
    """Is who got bytes."""

    username: str
    uid: str
    groups: tuple[str, ...]


class Download(Struct, frozen=True, omit_defaults=False):
    """Is the record of a download: who, what, when, which bytes (the last one included)."""

    at: str
    user: Receiver
    namespace: str
    name: str
    subresource: str
    key: str
    sha256: str
    first: int
    last: int
    size: int
    address: str
    """Who sent the request: the API server, or the person where he comes himself."""
    audit_id: str
    """Of the same request in the API server's audit log; empty where there is none."""


class Sender:
    """Sends content, and records that it does."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock
        self._open: Counter[str] = Counter()
        self._idle = asyncio.Event()
        self._idle.set()
        self.sent_bytes = 0
        self.downloads = 0

    @property
    def open(self) -> int:
        """Is how many downloads are under way."""
        return self._open.total()

    async def until_idle(self) -> None:
        """Waits until none is under way."""
        await self._idle.wait()

    async def send(self, request: web.Request, person: Person, right: Right, entry: Entry) -> web.StreamResponse:
        """Answers a request for content; RefusedError when nothing was sent."""
        artifact = entry.artifact
        kept = await self._store.stat(entry.key)
        if kept is None:
            raise not_found(artifact.metadata.name)
        if kept.size != artifact.bytes:
            _log.error("an artifact is not as long as its record says", key=entry.key, size=kept.size)
            raise RefusedError(500, "the artifact is damaged: its size is not the one that was recorded")
        tag = f'"{artifact.sha256}"'
        span = wanted(request.headers, kept.size, tag)
        headers = _headers(artifact, tag)
        if span is None:
            return web.Response(status=304, headers=headers)
        headers["Content-Length"] = str(span.length)
        if span.partial:
            headers["Content-Range"] = span.content_range
        response = web.StreamResponse(status=206 if span.partial else 200, headers=headers)
        if request.method == "HEAD":
            await response.prepare(request)
            return response
        with self._place(person):
            return await self._send(request, response, person, right, entry, span)

    async def _send(
        self,
        request: web.Request,
        response: web.StreamResponse,
        person: Person,
        right: Right,
        entry: Entry,
        span: Span,
    ) -> web.StreamResponse:
        async with _closing(self._store.read(entry.key, span.start, span.end)) as pieces:
            try:
                first = await anext(pieces, b"")
            except MissingError:
                raise not_found(entry.artifact.metadata.name) from None
            await self._record(request, person, right, entry, span)
            await response.prepare(request)
            await self._pour(request, response, span, first, pieces)
        return response

    @contextmanager
    def _place(self, person: Person) -> Iterator[None]:
        if self.open >= MOST or self._open[person.username] >= MOST_OF_ONE:
            raise RefusedError(429, "too many downloads at the same time", headers={"Retry-After": "1"})
        self._open[person.username] += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._open[person.username] -= 1
            if not self._open[person.username]:
                del self._open[person.username]
            if not self._open:
                self._idle.set()

    async def _record(self, request: web.Request, person: Person, right: Right, entry: Entry, span: Span) -> None:
        now = self._clock()
        meta = entry.artifact.metadata
        audit = request.headers.get("Audit-ID", "")
        download = Download(
            at=format_time(now),
            user=Receiver(person.username, person.uid, person.groups),
            namespace=meta.namespace,
            name=meta.name,
            subresource=right.subresource,
            key=entry.key,
            sha256=entry.artifact.sha256,
            first=span.start,
            last=span.end - 1,
            size=span.size,
            address=request.remote or "",
            audit_id=audit if _WORD.fullmatch(audit) else "",
        )
        key = f"{OWN}downloads/{now:%Y-%m-%d}/{now:%H%M%S.%f}-{secrets.token_hex(8)}.json"
        try:
            await self._store.create(key, msgspec.json.encode(download))
        except StoreError as error:
            _log.error("a download could not be recorded, and is refused", error=str(error))
            raise later("the download cannot be recorded now, so it is not made", 5) from None
        self.downloads += 1
        _log.info("download", **msgspec.to_builtins(download))

    async def _pour(
        self, request: web.Request, response: web.StreamResponse, span: Span, first: bytes, pieces: AsyncIterator[bytes]
    ) -> None:
        """Sends the bytes; an answer that cannot be finished is cut, so that nobody takes it for a whole one."""
        left = span.length
        try:
            piece = first
            while piece and left:
                left -= len(piece)
                if left < 0:
                    raise StoreError("the store gives more than was asked for")
                async with asyncio.timeout(STALL_SECONDS):
                    await response.write(piece)
                self.sent_bytes += len(piece)
                piece = await anext(pieces, b"")
        except (StoreError, TimeoutError, ConnectionError) as error:
            left = left or 1
            _log.warning("a download was cut", error=str(error) or type(error).__name__)
        except BaseException:
            left = left or 1
            raise
        finally:
            if left and request.transport is not None:
                request.transport.abort()


@asynccontextmanager
async def _closing(pieces: AsyncIterator[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
    """Ends what was begun to be read, also where it is not read to its end."""
    try:
        yield pieces
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


def _headers(artifact: KeptArtifact, tag: str) -> CIMultiDict[str]:
    """Returns what goes with every answer: nothing is shown, guessed or kept by a browser or a proxy."""
    digest = base64.b64encode(bytes.fromhex(artifact.sha256)).decode()
    return CIMultiDict(
        {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f'attachment; filename="{_file_name(artifact.file)}"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "Accept-Ranges": "bytes",
            "ETag": tag,
            "Repr-Digest": f"sha-256=:{digest}:",
        }
    )


def _file_name(name: str) -> str:
    """Returns the last part of a tool's name for a file, in characters that mean nothing to anybody."""
    return _UNSAFE.sub("_", name.rpartition("/")[2])[-100:].lstrip(".") or "artifact"
