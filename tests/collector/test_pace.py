"""No patience with bodies that drip."""

import asyncio
from unittest.mock import Mock

import pytest
from aiohttp import StreamReader

from toe.collector import pace
from toe.collector.denials import DenialError
from toe.collector.pace import Paced, read_all, replace


def _body() -> StreamReader:
    return StreamReader(Mock(_reading_paused=False), 2**16, loop=asyncio.get_running_loop())


async def _to_the_end(paced: Paced) -> None:
    while await paced.read():
        pass


async def test_a_body_is_read_whole() -> None:
    """As many bytes as its length says."""
    content = _body()
    content.feed_data(b"abc")
    content.feed_data(b"def")
    content.feed_eof()
    assert await read_all(content, 6) == b"abcdef"


async def test_a_body_that_ends_early_is_no_body() -> None:
    """Cut by the sender, or by the network."""
    content = _body()
    content.feed_data(b"abc")
    content.feed_eof()
    with pytest.raises(DenialError) as error:
        await read_all(content, 6)
    assert error.value.status == 400
    content = _body()
    content.set_exception(ConnectionResetError())
    with pytest.raises(DenialError) as error:
        await read_all(content, 6)
    assert error.value.status == 400


async def test_who_drips_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the grace; who is fast enough may take longer than that, but not for ever."""
    monkeypatch.setattr(pace, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(pace, "LEAST_RATE", 100)
    monkeypatch.setattr(pace, "TOTAL_SECONDS", 0.5)
    for piece, least, most in ((b"x", 0.1, 0.3), (b"x" * 10, 0.45, 0.8)):
        content = _body()
        paced = Paced(content, 10**9)

        async def drip(content: StreamReader = content, piece: bytes = piece) -> None:
            while True:
                content.feed_data(piece)
                await asyncio.sleep(0.04)

        dripping = asyncio.create_task(drip())
        began = asyncio.get_running_loop().time()
        with pytest.raises(DenialError) as error:
            await _to_the_end(paced)
        assert error.value.status == 408
        assert least <= asyncio.get_running_loop().time() - began < most
        dripping.cancel()


async def test_a_body_is_replaced_by_a_new_one() -> None:
    """Whoever waits for the old one waits no longer."""
    content = _body()
    reading = asyncio.create_task(Paced(content, 10).read())
    await asyncio.sleep(0)
    replace(content)
    replace(None)
    with pytest.raises(DenialError) as error:
        await reading
    assert error.value.reason == "TooSlow"
