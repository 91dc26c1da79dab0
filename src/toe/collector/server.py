"""The server that toe-run speaks to: authorization first, the judge second, the body last. JSON in, JSON out."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import structlog
from aiohttp import HttpVersion11, hdrs, web
from aiohttp.typedefs import Middleware

from toe.api.meta import Struct
from toe.api.ticket import Ticket, verify
from toe.api.time import format_time
from toe.collector.alarm import Alarm
from toe.collector.claims import claim_of, hash_of
from toe.collector.counters import Counters
from toe.collector.denials import DenialError, bad_request, bad_session, bad_ticket, not_ready
from toe.collector.pace import read_all
from toe.collector.runs import Runs
from toe.collector.sessions import File, Session, Sessions
from toe.collector.ticketkeys import TicketKeys
from toe.collector.uploads import Uploads
from toe.errors import ClusterError, DecodeError, StoreError

MOST_JSON_BYTES = 64 * 1024
_SECRET = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(r"[0-9a-f]{32}")
_OFFSET = re.compile(r"0|[1-9][0-9]{0,15}")
_BEARER = re.compile(r"Bearer ([A-Za-z0-9._~+/=-]{1,4096})")

Answer = tuple[int, dict[str, Any]]
B = TypeVar("B", bound="Body")
_log = structlog.get_logger(__name__)


class Body(Struct, frozen=True, forbid_unknown_fields=True):
    """Is a body that says nothing."""


class ClaimBody(Body, frozen=True):
    """Claims a ticket."""

    session: str


class FileBody(Body, frozen=True):
    """Opens a file."""

    name: str
    restart: bool = False


class CommitBody(Body, frozen=True):
    """Says what a file is as a whole."""

    bytes: int
    sha256: str


class Server:
    """Answers ``/v1/...``, and the probes."""

    def __init__(
        self,
        uploads: Uploads,
        sessions: Sessions,
        runs: Runs,
        keys: TicketKeys,
        alarm: Alarm,
        counters: Counters,
        clock: Callable[[], datetime],
        missing: Callable[[], str],
        max_sessions: int = 10_000,
    ) -> None:
        """``missing`` says why we are not ready; empty: we are."""
        self._uploads, self._sessions, self._runs, self._keys, self._alarm = uploads, sessions, runs, keys, alarm
        self._counters, self._clock, self._missing = counters, clock, missing
        self._max_sessions = max_sessions

    def application(self) -> web.Application:
        """Returns the application to serve."""
        application = web.Application(client_max_size=MOST_JSON_BYTES, middlewares=[self._denying()])
        routes = (
            (hdrs.METH_POST, "/v1/claim", self._claim),
            (hdrs.METH_POST, "/v1/lease", self._lease),
            (hdrs.METH_POST, "/v1/files", self._open),
            (hdrs.METH_PUT, "/v1/files/{file}", self._put),
            (hdrs.METH_POST, "/v1/files/{file}/commit", self._commit),
            (hdrs.METH_POST, "/v1/complete", self._complete),
        )
        for method, path, answer in routes:
            application.router.add_route(method, path, self._answering(path, answer), expect_handler=_later)
        application.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
            ]
        )
        return application

    def _answering(
        self, path: str, answer: Callable[[web.Request], Awaitable[Answer]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answering(request: web.Request) -> web.Response:
            reason = ""
            try:
                status, found = await answer(request)
            except DenialError as denial:
                status, found, reason = denial.status, denial.answer(), denial.reason
            except StoreError as error:
                _log.error("the store did not do what was asked", path=path, error=str(error))
                status, found, reason = _denial(not_ready("the store does not answer"))
            except (asyncio.CancelledError, ConnectionError):
                raise
            except Exception:
                _log.exception("a request could not be answered", path=path)
                status, found, reason = _denial(not_ready("this could not be answered: see the collector's log"))
            self._counters.answered(path, status, reason)
            response = _json(status, found)
            if not request.content.is_eof():
                response.force_close()  # the rest of the body is not worth reading
            return response

        return answering

    def _denying(self) -> Middleware:
        @web.middleware
        async def denying(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            try:
                # Before HTTP/1.1 nobody says how long a body is but by closing; who only looks at a probe may.
                if request.version >= HttpVersion11 or not request.path.startswith("/v1/"):
                    return await handler(request)
                response = _json(400, bad_request("HTTP/1.1 is wanted").answer())
                response.force_close()
            except web.HTTPException as error:  # no such path, no such method
                reason = (error.reason or "").title().replace(" ", "")
                response = _json(error.status, {"reason": reason, "message": "this is not served here"})
                if allow := error.headers.get(hdrs.ALLOW):
                    response.headers[hdrs.ALLOW] = allow
                if not request.content.is_eof():
                    response.force_close()
            return response

        return denying

    async def _claim(self, request: web.Request) -> Answer:
        peer = _peer(request)
        text = _bearer(request)
        if text is None:
            raise bad_ticket("one header Authorization: Bearer TICKET is wanted")
        keys = self._keys.current()
        if not keys:
            raise not_ready("no keys are known to verify tickets with")
        try:
            ticket = verify(text, keys, self._clock())
        except DecodeError as error:
            raise bad_ticket(error.message) from None
        await self._known(ticket)
        nobodys = claim_of(ticket, "", self._clock(), peer)
        self._uploads.judge(nobodys, peer)
        if stop := self._uploads.stop(nobodys):
            raise DenialError(403, stop.reason, stop.message)
        session = (await self._read(request, ClaimBody)).session
        if not _SECRET.fullmatch(session):
            raise bad_request("a session is 64 hexadecimal digits")
        wanted = claim_of(ticket, session, self._clock(), peer)
        if self._sessions.open >= self._max_sessions and await self._sessions.find(session) is None:
            raise DenialError(429, "TooMany", "as many sessions are open as may be")
        claim, made = await self._sessions.claims.make(wanted)
        if claim.session != wanted.session:
            self._alarm.ticket_claimed(claim, peer)
            raise DenialError(409, "TicketClaimed", "this ticket was claimed by somebody else")
        await self._sessions.of_claim(claim)
        terms = self._uploads.terms
        return (201 if made else 200), {
            "lease": terms.lease_seconds,
            "chunkBytes": terms.chunk_bytes,
            "maxBytes": claim.max_bytes,
            "expires": format_time(claim.expires_at),
        }

    async def _known(self, ticket: Ticket) -> None:
        """Waits until the run of a ticket is known here, where it is so new that nobody has told of it."""
        if not self._runs.live:
            raise not_ready("what is known of runs is stale")
        try:
            await self._runs.confirm(ticket.namespace, ticket.run, ticket.run_uid)
        except ClusterError:
            raise not_ready("the API server does not say whether there is such a run") from None

    async def _lease(self, request: web.Request) -> Answer:
        session = await self._session(request)
        stop = self._uploads.lease(session, _peer(request))
        await self._read(request, Body)
        if stop is None:
            return 200, {"state": "go"}
        return 200, {"state": "stop", "reason": stop.reason, "message": stop.message}

    async def _open(self, request: web.Request) -> Answer:
        session = await self._session(request)
        peer = _peer(request)
        self._uploads.judge(session.claim, peer)
        asked = await self._read(request, FileBody)
        file, made = await self._uploads.open(session, asked.name, restart=asked.restart, peer=peer)
        return (201 if made else 200), {"file": file.id, "offset": file.offset}

    async def _put(self, request: web.Request) -> Answer:
        session, file = await self._file(request)
        peer = _peer(request)
        self._uploads.judge(session.claim, peer)
        offsets = request.query.getall("offset", [])
        if len(offsets) != 1 or not _OFFSET.fullmatch(offsets[0]) or len(request.query) != 1:
            raise bad_request("the query is offset=, a number of bytes")
        digests = request.headers.getall("Toe-Chunk-Sha256", [])
        if len(digests) != 1 or not _SECRET.fullmatch(digests[0]):
            raise bad_request("the header Toe-Chunk-Sha256 is the sha256 of the chunk, 64 hexadecimal digits")
        if hdrs.CONTENT_RANGE in request.headers or hdrs.CONTENT_ENCODING in request.headers:
            raise bad_request("a chunk is sent as it is: no Content-Range, no Content-Encoding")
        length = self._length(request, self._uploads.terms.chunk_bytes)
        if not length:
            raise bad_request("a chunk has at least one byte")

        async def go_on() -> None:
            await _continue(request)

        session.active += 1
        try:
            offset = await self._uploads.put(
                session, file, int(offsets[0]), digests[0], (request.content, length), peer, go_on
            )
        finally:
            session.active -= 1
        self._counters.came(length)
        return 200, {"offset": offset}

    async def _commit(self, request: web.Request) -> Answer:
        session, file = await self._file(request)
        asked = await self._read(request, CommitBody)
        if asked.bytes < 0 or not _SECRET.fullmatch(asked.sha256):
            raise bad_request("bytes is a number, sha256 64 hexadecimal digits")
        session.active += 1
        try:
            key, made = await self._uploads.commit(session, file, asked.bytes, asked.sha256, _peer(request))
        finally:
            session.active -= 1
        return (201 if made else 200), {"key": key}

    async def _complete(self, request: web.Request) -> Answer:
        session = await self._session(request)
        await self._read(request, Body)
        if not session.is_complete:
            self._uploads.judge(session.claim, _peer(request))
        files, size = await self._uploads.complete(session)
        return 200, {"files": files, "bytes": size}

    async def _session(self, request: web.Request) -> Session:
        secret = _bearer(request)
        if secret is None or not _SECRET.fullmatch(secret):
            raise bad_session()
        session = await self._sessions.find(secret)
        if session is None or session.claim.session != hash_of(secret):
            raise bad_session()
        return session

    async def _file(self, request: web.Request) -> tuple[Session, File]:
        session = await self._session(request)
        name = request.match_info["file"]
        file = session.files.get(name) if _FILE.fullmatch(name) else None
        if file is None:
            raise DenialError(404, "NoSuchFile", "open it first")
        return session, file

    async def _read(self, request: web.Request, kind: type[B]) -> B:
        """Returns the body of a request that says something in JSON."""
        length = self._length(request, MOST_JSON_BYTES)
        await _continue(request)
        body = await read_all(request.content, length)
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise bad_request("the body is not the JSON that is wanted here") from None

    @staticmethod
    def _length(request: web.Request, most: int) -> int:
        length = request.content_length
        if length is None or hdrs.TRANSFER_ENCODING in request.headers:
            raise DenialError(411, "LengthRequired", "a Content-Length is wanted")
        if length > most:
            raise DenialError(413, "TooLarge", f"the body has at most {most} bytes")
        return length

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        missing = self._missing()
        return web.Response(status=503, text=f"{missing}\n") if missing else web.Response(text="ok\n")


def _denial(denial: DenialError) -> tuple[int, dict[str, Any], str]:
    return denial.status, denial.answer(), denial.reason


def _json(status: int, found: dict[str, Any]) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(found), content_type="application/json")


def _bearer(request: web.Request) -> str | None:
    """Returns what the one header Authorization holds; None where there is none, another kind, or more than one."""
    found = request.headers.getall(hdrs.AUTHORIZATION, [])
    match = _BEARER.fullmatch(found[0]) if len(found) == 1 else None
    return match[1] if match else None


def _peer(request: web.Request) -> str:
    """Returns the address that a request comes from; one of IPv4 as such, whatever the socket."""
    name = request.transport.get_extra_info("peername") if request.transport else None
    return str(name[0]).removeprefix("::ffff:") if name else ""


async def _later(request: web.Request) -> None:
    """Does not answer ``Expect: 100-continue`` yet: whether the body is wanted is judged first."""
    if request.headers.get(hdrs.EXPECT, "").lower() != "100-continue":
        raise web.HTTPExpectationFailed


async def _continue(request: web.Request) -> None:
    if hdrs.EXPECT in request.headers and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
