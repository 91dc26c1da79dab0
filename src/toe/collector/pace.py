"""No patience with bodies that drip: 16 KiB/s after the first 10 s, no pause longer than that, and an end in all."""

import asyncio

from aiohttp import StreamReader

from toe.collector.denials import bad_request, too_slow

GRACE_SECONDS = 10.0
LEAST_RATE = 16 * 1024
"""Bytes per second, on average, once the grace is over."""
TOTAL_SECONDS = 300.0
"""For a body, whatever its rate."""


class ReplacedError(TimeoutError):
    """Is set on a body whose sender has begun again over another connection: this one has taken too long."""


class Paced:
    """Reads a body of a known length as long as it comes fast enough."""

    def __init__(self, content: StreamReader, length: int) -> None:
        self._content, self._length = content, length
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self.received = 0

    async def read(self) -> bytes:
        """Returns the next piece; empty at the end. DenialError when it is too slow or cut off."""
        allowed = min(GRACE_SECONDS + self.received / LEAST_RATE, TOTAL_SECONDS)
        try:
            async with asyncio.timeout_at(min(self._began + allowed, self._loop.time() + GRACE_SECONDS)):
                piece = await self._content.readany()
        except TimeoutError:
            raise too_slow() from None
        except Exception as error:  # cut off, wrongly chunked: whatever the parser calls it
            raise bad_request(f"the body cannot be read: {type(error).__name__}") from None
        self.received += len(piece)
        if not piece and self.received != self._length:
            raise bad_request("the body is shorter than its length says")
        return piece


async def read_all(content: StreamReader, length: int) -> bytes:
    """Returns a short body whole; DenialError as above."""
    paced, found = Paced(content, length), bytearray()
    while piece := await paced.read():
        found += piece
    return bytes(found)


def replace(content: StreamReader | None) -> None:
    """Ends the reading of a body whose sender has begun again."""
    if content is not None and not content.is_eof():
        content.set_exception(ReplacedError())
