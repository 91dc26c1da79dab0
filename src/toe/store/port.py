"""The port: five things that a store can do. A key is a path of names joined by ``/``, made by us, never by a user."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from toe.api.meta import Struct


class Kept(Struct, frozen=True, gc=False):
    """Is one object that is kept: its key, its size in bytes and when it came, in seconds since the epoch."""

    key: str
    size: int
    modified: float


class Store(Protocol):
    """Keeps objects. What is there is never changed, only deleted.

    Every method raises :class:`toe.errors.StoreError` when the store does not do what is asked, with a message that
    names the key.
    """

    async def create(self, key: str, content: bytes | Path) -> None:
        """Keeps content under a key that is not taken, whole or not at all, and durable when it returns.

        A Path is a finished regular file of the caller's, without a second name; it may be moved away and is gone
        afterwards, but stays when nothing was kept. Raises :class:`toe.errors.ExistsError` when the key is taken: of
        many at once exactly one succeeds. When an answer of an object store was lost, what is there may be one's own:
        who must know compares. Content is there before its record is, so where a file is kept, its end is the record.
        """
        ...

    async def stat(self, key: str) -> Kept | None:
        """Tells what is kept under a key; None for nothing."""
        ...

    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yields the bytes from ``start`` up to ``end`` (not included; None: all) in pieces of at most 1 MiB.

        Raises :class:`toe.errors.MissingError` when nothing is kept there.
        """
        ...

    def list(self, prefix: str) -> AsyncIterator[Kept]:
        """Yields what is kept below a prefix of whole names (``production/``, or none), in the order of keys."""
        ...

    async def delete(self, key: str) -> None:
        """Removes what is kept under a key, and directories that became empty; nothing there is no error."""
        ...

    async def free(self) -> int | None:
        """Tells how many bytes may still come; None where nothing limits them."""
        ...
