"""Connections are bounded, and what could not be read is quoted nowhere."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog
from aiohttp import web

from toe.kube.connections import Gate
from toe.kube.serving import Listener

CANARY = "canary-0123456789"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@asynccontextmanager
async def serving(gate: Gate) -> AsyncIterator[int]:
    """Serves one page, and one that fails with a secret in its error."""

    async def page(request: web.Request) -> web.Response:
        if request.path == "/fails":
            raise RuntimeError(CANARY)
        return web.Response(text="well")

    application = web.Application()
    application.router.add_get("/{path:.*}", page)
    async with Listener(application, connect=gate.connect).listening(0, None) as port:
        yield port


async def said(port: int, sent: bytes, source: str = "127.0.0.1") -> tuple[int, bytes]:
    """Sends bytes, and returns the status and the body of the answer; the status is 0 where there was none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        writer.write(sent)
        return await answer(reader)
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Reads one answer."""
    async with asyncio.timeout(10):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return 0, b""
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        return int(head.split()[1]), await reader.readexactly(length)


async def test_an_address_has_so_many_connections_and_no_more() -> None:
    """Others have theirs; one that ends makes room."""
    gate = Gate(most=10, most_of_one=2)
    async with serving(gate) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await asyncio.sleep(0.1)
        status, body = await said(port, GET)
        assert (status, json.loads(body)["reason"]) == (429, "TooMany")
        assert await said(port, GET, source="127.0.0.2") == (200, b"well")
        assert gate.refused == 1
        held[0][1].close()
        await asyncio.sleep(0.1)
        assert gate.open == 1
        assert await said(port, GET) == (200, b"well")
        held[1][1].close()


async def test_all_together_have_so_many_connections_and_no_more() -> None:
    """From however many addresses."""
    gate = Gate(most=3, most_of_one=2)
    async with serving(gate) as port:
        held = [await asyncio.open_connection("127.0.0.1", port, local_addr=(f"127.0.0.{n}", 0)) for n in (2, 3, 4)]
        await asyncio.sleep(0.1)
        assert (await said(port, GET, source="127.0.0.5"))[0] == 429
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.1)
        assert gate.open == 0
        assert (await said(port, GET, source="127.0.0.5"))[0] == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + CANARY.encode() * 4096 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + CANARY.encode() + b"\0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization Bearer " + CANARY.encode() + b"\r\n\r\n",
        b"GET /" + CANARY.encode() * 1000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        CANARY.encode() + b"\r\n\r\n",
        b"GET /fails HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=["long header", "NUL", "no colon", "long path", "no HTTP", "an error of ours"],
)
async def test_what_could_not_be_read_is_quoted_nowhere(
    sent: bytes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not in the answer, not in a log; the answer is JSON as all others are."""
    with structlog.testing.capture_logs() as logs, caplog.at_level(logging.DEBUG):
        async with serving(Gate()) as port:
            status, body = await said(port, sent)
    assert status == (503 if b"/fails" in sent else 400)
    assert json.loads(body)["reason"] == ("NotReady" if b"/fails" in sent else "BadRequest")
    told = body.decode() + repr(logs) + caplog.text + "".join(capfd.readouterr())
    assert "canary" not in told
