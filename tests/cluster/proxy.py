"""A reverse proxy between toe and the API server that does what networks and load balancers do on bad days.

It speaks plain HTTP to toe and TLS to the API server. A ``plan`` decides for each request which fault it meets; what
came in and what was passed on are counted, so that a test can tell a write that was sent twice from one that was not.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
from aiohttp import web

from toe.kube.access import Access
from toe.kube.transport import tls

EXPIRED = {
    "kind": "Status",
    "apiVersion": "v1",
    "status": "Failure",
    "code": 410,
    "reason": "Expired",
    "message": "old",
}


@dataclass(frozen=True)
class Fault:
    """Is what happens to one request.

    ``pass``: nothing. ``refuse``: answered with ``code`` (and Retry-After) without being executed. ``lose``: the
    connection is cut before the request is executed. ``cut``: executed, then cut after ``after`` bytes of the answer.
    ``stall``: executed, then silent for ever after ``after`` bytes. ``delay``: executed ``seconds`` late.
    ``duplicate``: each line of the answer comes twice. ``tear``: the answer comes in chunks of ``after`` bytes.
    ``expire``: a watch gets an ERROR 410 after ``after`` lines. ``rewind``: a watch is asked for from version 1, which
    the API server answers with its whole story once more, or with 410 when it no longer has it. ``old``: a server that
    does not know WatchList.
    """

    kind: Literal["pass", "refuse", "lose", "cut", "stall", "delay", "duplicate", "tear", "expire", "rewind", "old"] = (
        "pass"
    )
    code: int = 503
    retry_after: int | None = None
    after: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Seen:
    """Is one request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes

    @property
    def watches(self) -> bool:
        return self.query.get("watch") == "true"


Plan = Callable[[Seen], Fault]


@dataclass
class Proxy:
    """Stands before the API server that ``upstream`` reaches; ``plan`` may be changed at any time."""

    upstream: Access
    plan: Plan = lambda seen: Fault()
    received: list[Seen] = field(default_factory=list)
    forwarded: list[Seen] = field(default_factory=list)
    met: list[str] = field(default_factory=list)

    @property
    def access(self) -> Access:
        """Is how to reach the API server through this proxy."""
        return Access(f"http://127.0.0.1:{self._runner.addresses[0][1]}")

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        """Listens on a port of its own."""
        credential = await self.upstream.credentials.get()
        connector = aiohttp.TCPConnector(limit=0, ssl=tls(self.upstream, credential))
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:
            self._session = session
            application = web.Application(client_max_size=1 << 24)
            application.router.add_route("*", "/{path:.*}", self._serve)
            self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
            await self._runner.setup()
            await web.TCPSite(self._runner, "127.0.0.1", 0).start()
            try:
                yield self
            finally:
                await self._runner.cleanup()

    @contextmanager
    def healed(self) -> Iterator[None]:
        """Lets everything pass from here on, for the end of a test."""
        self.plan = lambda seen: Fault()
        yield

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(request.method, request.path, dict(request.query), await request.read())
        self.received.append(seen)
        fault = self.plan(seen)
        self.met.append(fault.kind)
        match fault.kind:
            case "lose":
                return _abort(request)
            case "refuse":
                return _refusal(fault)
            case "old" if "sendInitialEvents" in seen.query:
                return _refusal(Fault(code=422))
            case "delay":
                await asyncio.sleep(fault.seconds)
        query = dict(seen.query)
        if fault.kind == "rewind" and seen.watches and "resourceVersion" in query:
            query["resourceVersion"] = "1"
        self.forwarded.append(seen)
        headers = {name: request.headers[name] for name in ("Accept", "Content-Type") if name in request.headers}
        with suppress(ConnectionResetError):
            async with self._session.request(
                seen.method, self.upstream.server + seen.path, params=query, data=seen.body or None, headers=headers
            ) as answer:
                return await self._pass_on(request, answer, fault, seen)
        return web.Response(status=499)

    async def _pass_on(
        self, request: web.Request, answer: aiohttp.ClientResponse, fault: Fault, seen: Seen
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status)
        for name in ("Content-Type", "Retry-After"):
            if name in answer.headers:
                response.headers[name] = answer.headers[name]
        if fault.kind in ("cut", "stall") and fault.after == 0:
            await answer.read() if not seen.watches else None
            return await _end(request, fault)
        await response.prepare(request)
        sent = lines = 0
        async for chunk in answer.content.iter_any():
            for piece in _pieces(chunk, fault):
                await response.write(piece)
                sent += len(piece)
                lines += piece.count(b"\n")
                if fault.kind == "tear":
                    await asyncio.sleep(0)
                if fault.kind in ("cut", "stall") and sent >= fault.after:
                    return await _end(request, fault)
                if fault.kind == "expire" and seen.watches and lines >= fault.after and piece.endswith(b"\n"):
                    await response.write(json.dumps({"type": "ERROR", "object": EXPIRED}).encode() + b"\n")
                    return response
        return response


def _pieces(chunk: bytes, fault: Fault) -> list[bytes]:
    """Cuts a chunk as the fault wants it."""
    match fault.kind:
        case "cut" | "stall" | "tear" if fault.after:
            return [chunk[at : at + fault.after] for at in range(0, len(chunk), fault.after)]
        case "duplicate" | "expire":
            lines = chunk.splitlines(keepends=True)
            whole = fault.kind == "duplicate"
            return [line * 2 if whole and line.endswith(b"\n") and line.startswith(b"{") else line for line in lines]
        case _:
            return [chunk]


async def _end(request: web.Request, fault: Fault) -> web.StreamResponse:
    if fault.kind == "stall":
        await asyncio.sleep(3600)
    return _abort(request)


def _abort(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)


def _refusal(fault: Fault) -> web.StreamResponse:
    reason = {410: "Expired", 422: "Invalid", 429: "TooManyRequests", 503: "ServiceUnavailable"}.get(fault.code, "")
    status = {"kind": "Status", "status": "Failure", "code": fault.code, "reason": reason, "message": "by the proxy"}
    headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
    return web.Response(body=json.dumps(status).encode(), status=fault.code, headers=headers)
