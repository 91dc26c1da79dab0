"""How much is kept, how much is on its way, and how much may still come."""

import asyncio
import os
from collections import Counter
from pathlib import Path

from toe.api.meta import Struct
from toe.collector.partials import Partials
from toe.store.names import OWN
from toe.store.port import Store


class Quotas(Struct, frozen=True):
    """Is what the administrator permits, in bytes; None: no quota."""

    total: int | None = None
    namespace: int | None = None
    low_water: int = 0
    """Stays free whatever comes."""


class Room:
    """Counts bytes by namespace: what is kept, and what has come or is announced of files that are not whole."""

    def __init__(self, store: Store, partials: Partials, quotas: Quotas, place: Path | None = None) -> None:
        """``place`` is the directory of a store that is one: a file of the same volume is moved, never copied."""
        self._store, self._partials, self.quotas = store, partials, quotas
        self._kept: Counter[str] = Counter()
        self._coming: Counter[str] = Counter()
        self._unwritten = 0
        self.last_free = 0
        """What the volumes took when somebody asked last."""
        self.moves = place is not None and os.stat(place).st_dev == os.stat(partials.root).st_dev

    async def survey(self) -> None:
        """Counts what is kept, anew: others keep and delete too."""
        before, found = self._kept.copy(), Counter[str]()
        async for kept in self._store.list(""):
            if not kept.key.startswith(OWN):
                found[kept.key.partition("/")[0]] += kept.size
        await self.free()
        # What came meanwhile may be counted twice until the next time, never not at all.
        self._kept = found + (self._kept - before)

    async def free(self) -> int | None:
        """Tells how many bytes may come before the volumes are full, less what was announced and is not here yet."""
        before = self._unwritten
        here = await asyncio.to_thread(self._partials.free)
        there = await self._store.free()
        least = here if there is None else min(here, there)
        self.last_free = least
        return least - max(before, self._unwritten)  # a chunk that ended meanwhile may be in neither

    def used(self, namespace: str) -> int:
        """Tells how many bytes a namespace has, kept or coming."""
        return self._kept[namespace] + self._coming[namespace]

    @property
    def total(self) -> int:
        """Is how many bytes there are in all, kept or coming."""
        return self._kept.total() + self._coming.total()

    def announce(self, namespace: str, size: int) -> None:
        """Counts a chunk before its first byte, so that many at once cannot pass a limit together."""
        self._coming[namespace] += size
        self._unwritten += size

    def written(self, size: int) -> None:
        """Notes that a chunk's bytes are in the volume, or will never be: they are part of what is free or not."""
        self._unwritten -= size

    def come(self, namespace: str, size: int) -> None:
        """Counts bytes that were found at a start; negative for bytes that are given up."""
        self._coming[namespace] += size

    def keep(self, namespace: str, size: int) -> None:
        """Notes that bytes that had come are kept."""
        self._coming[namespace] -= size
        self._kept[namespace] += size
