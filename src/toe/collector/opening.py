"""A store that may not be there yet: asked again and again, while discovery is answered all the same.

The artifacts API that ends because its store is away would make every deletion of a namespace in the cluster hang.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import structlog

from toe.errors import SettingsError, StoreError
from toe.store.port import Kept, Store

PAUSE = 5.0
"""Seconds between two tries."""
_log = structlog.get_logger(__name__)


class OpeningStore:
    """Is the store that ``opened`` returns, once it does; until then every call is a StoreError."""

    def __init__(self, opened: Callable[[], Awaitable[Store]]) -> None:
        self._opened = opened
        self._store: Store | None = None

    @property
    def is_open(self) -> bool:
        """Tells whether the store is there."""
        return self._store is not None

    async def run(self) -> None:
        """Opens it; returns when that went well."""
        while self._store is None:
            try:
                self._store = await self._opened()
            except (SettingsError, StoreError, OSError) as error:
                _log.error("the store cannot be opened", error=str(error))
                await asyncio.sleep(PAUSE)

    async def create(self, key: str, content: bytes | Path) -> None:
        """Keeps content."""
        await self._there().create(key, content)

    async def stat(self, key: str) -> Kept | None:
        """Tells what is kept."""
        return await self._there().stat(key)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yields what is kept."""
        async for piece in self._there().read(key, start, end):
            yield piece

    async def list(self, prefix: str) -> AsyncIterator[Kept]:
        """Yields what is kept below a prefix."""
        async for kept in self._there().list(prefix):
            yield kept

    async def delete(self, key: str) -> None:
        """Removes what is kept."""
        await self._there().delete(key)

    async def free(self) -> int | None:
        """Tells how much room there is."""
        return await self._there().free()

    def _there(self) -> Store:
        if self._store is None:
            raise StoreError("the store is not open yet")
        return self._store
