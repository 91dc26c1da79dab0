"""One kept file, fetched in pieces: several at once, written in order, so that what is there is always a beginning.

The API server cuts an ordinary answer after 60 s. So pieces are small, and are halved where the line is slow.
"""

import asyncio
from collections import deque

from toe.cli.files import Part
from toe.cli.meter import Meter
from toe.cli.shelf import Shelf
from toe.errors import UnavailableError
from toe.report.artifacts import KeptArtifact

PIECE = 8 * 2**20
AT_ONCE = 4
LEAST = 256 * 2**10


async def fetch(shelf: Shelf, artifact: KeptArtifact, part: Part, meter: Meter) -> bool:
    """Fetches what is not there yet; False when the whole is not what was recorded, and has been thrown away."""
    if part.size > artifact.bytes:
        part.clear()
    went_on = part.size > 0
    await _rest(shelf, artifact, part, meter)
    if part.sha256 != artifact.sha256 and went_on:  # what was there may have been damaged on our disk
        meter.came(-part.size)
        part.clear()
        await _rest(shelf, artifact, part, meter)
    if part.sha256 == artifact.sha256:
        return True
    part.clear()
    return False


async def _rest(shelf: Shelf, artifact: KeptArtifact, part: Part, meter: Meter) -> None:
    size = artifact.bytes
    starts = deque(range(part.size, size, PIECE))
    coming: deque[asyncio.Task[bytes]] = deque()
    try:
        while starts or coming:
            while starts and len(coming) < AT_ONCE:
                start = starts.popleft()
                coming.append(asyncio.create_task(_piece(shelf, artifact, start, min(start + PIECE, size))))
            content = await coming[0]
            coming.popleft()
            part.write(content)
            meter.came(len(content))
    finally:
        for task in coming:
            task.cancel()
        await asyncio.gather(*coming, return_exceptions=True)


async def _piece(shelf: Shelf, artifact: KeptArtifact, start: int, end: int) -> bytes:
    try:
        return await shelf.read(artifact, start, end)
    except UnavailableError:
        if end - start <= LEAST:
            raise
    middle = (start + end) // 2
    return await _piece(shelf, artifact, start, middle) + await _piece(shelf, artifact, middle, end)
