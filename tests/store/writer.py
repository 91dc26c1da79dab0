"""A program that keeps things in a directory until it is killed: ``writer.py ROOT SPOOL NUMBER``.

Each content says its own sha256 in its key, so whoever finds one knows whether it is whole. What was acknowledged is
told on standard output.
"""

import asyncio
import hashlib
import random
import sys
from pathlib import Path

from toe.store.directory import DirectoryStore


async def write(root: Path, spool: Path, number: str) -> None:
    """Keeps contents of 0 to 3 MiB for ever, four at a time, and deletes every fifth."""
    store = DirectoryStore(root)
    numbers = random.Random(number)

    async def one(lane: int) -> None:
        for count in range(1_000_000):
            content = numbers.randbytes(numbers.choice([0, 1, 4096, 300_000, 3_000_000]))
            digest = hashlib.sha256(content).hexdigest()
            key = f"n/r{number}/{count % 3}/{lane}-{count}/{digest}"
            if count % 2:
                file = spool / f"{number}-{lane}"
                file.write_bytes(content)
                await store.create(key, file)
            else:
                await store.create(key, content)
            if count % 5 == 4:
                await store.delete(key)
            else:
                print(key, flush=True)

    await asyncio.gather(*(one(lane) for lane in range(4)))


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
