"""Connections: bounded in all and of one address, and silent about what nobody could read.

aiohttp writes what it could not parse into its log and its answer, and that may be a ticket in a header that is too
long. Here neither ever quotes anything.
"""

import asyncio
from collections import Counter

import msgspec
import structlog
from aiohttp import web

MOST, MOST_OF_ONE = 1024, 128
_TOO_MANY = msgspec.json.encode({"reason": "TooMany", "message": "there are too many connections: try again"})
_UNREADABLE = msgspec.json.encode({"reason": "BadRequest", "message": "this is no HTTP request that can be understood"})
_FAILED = msgspec.json.encode({"reason": "NotReady", "message": "an error of the server: see its log"})
_log = structlog.get_logger(__name__)


class Gate:
    """Lets connections in, up to ``most`` in all and ``most_of_one`` of an address; the next ones are told 429."""

    def __init__(self, most: int = MOST, most_of_one: int = MOST_OF_ONE) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._inside: Counter[str] = Counter()
        self.refused = 0
        """Connections that were not let in, since the start."""
        self.unreadable = 0
        """Requests that were none, since the start."""

    @property
    def open(self) -> int:
        """Is how many connections there are."""
        return self._inside.total()

    def connect(self, server: web.Server) -> web.RequestHandler:
        """Returns what speaks to a new connection: for :class:`toe.kube.serving.Listener`."""
        return Connection(self, server)

    def enter(self, address: str) -> bool:
        """Counts a connection in; False when there are too many."""
        if self.open >= self._most or self._inside[address] >= self._most_of_one:
            self.refused += 1
            return False
        self._inside[address] += 1
        return True

    def leave(self, address: str) -> None:
        """Counts it out."""
        self._inside[address] -= 1
        if self._inside[address] <= 0:
            del self._inside[address]


class Connection(web.RequestHandler):
    """Is one connection: let in by the gate, and answered in JSON whatever it sends."""

    __slots__ = ("_address", "_gate")

    def __init__(self, gate: Gate, server: web.Server) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **server._kwargs)  # as the server itself does
        self._gate = gate
        self._address: str | None = None
        """Whose it is, once it was let in."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins to listen, or says that there are too many and closes."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        if self._gate.enter(address):
            self._address = address
            return
        assert isinstance(transport, asyncio.Transport)
        transport.write(
            b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(_TOO_MANY), _TOO_MANY)
        )
        self.close()
        transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Counts it out."""
        if self._address is not None:
            self._gate.leave(self._address)
            self._address = None
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answers what is no request, and what failed in a way that nobody expected; the connection ends with it."""
        if status >= 500:
            _log.error("a request failed", error=type(exc).__name__)
            status = 503
        else:
            self._gate.unreadable += 1
        if request.writer.output_size > 0:  # half an answer is sent: nothing can follow it
            raise ConnectionError("an answer was cut")
        body = _FAILED if status >= 500 else _UNREADABLE
        answer = web.Response(status=status, body=body, content_type="application/json")
        answer.force_close()
        return answer

    def log_exception(self, *args: object, exc_info: BaseException | None = None, **more: object) -> None:
        """Says of an error what kind it is: its text may quote what came."""
        _log.warning("a connection failed", error=type(exc_info).__name__)
