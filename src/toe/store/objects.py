"""Object stores: S3 and what speaks like it, Google Cloud Storage, Azure, and one in memory, through obstore.

One conditional request decides who of many keeps something: "put, if nothing is there". It carries small content whole.
Large content comes in parts, and obstore makes no condition on those (arrow-rs-object-store issue 289; Google knows
none at all), so first a small **placeholder** is put under the key itself, with the condition, and then replaced by
its owner. A placeholder is told by its metadata, which no tool writes; it counts as nothing kept. When its owner dies
it gives way after the time that it names, by the store's own clock.
"""

import asyncio
import re
import secrets
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from toe.errors import ExistsError, MissingError, SettingsError, StoreError
from toe.store.names import INCOMING, key_parts, prefix_parts
from toe.store.port import Kept

if TYPE_CHECKING:
    from obstore import Attributes, PutMode, UpdateVersion
    from obstore.store import ObjectStore as Bucket

PIECE_BYTES = 1024 * 1024
"""Yielded at most at once."""
RANGE_BYTES = 8 * PIECE_BYTES
"""Asked for in one request, so that each has its own time-out, and a slow reader is cut by none."""
PART_BYTES, PARTS_AT_ONCE = 8 * PIECE_BYTES, 4
"""Of what comes in parts: 32 MiB in memory; S3 takes 10,000 parts, so 78 GiB are the most."""
PAGE = 1000
"""Keys of one request."""
SLOWEST_BYTES_PER_SECOND = 1024 * 1024
LEAST_SECONDS = 60
"""A large content may take this long, and a second for each MiB."""

_WRITING = "toewriting"
"""Metadata of a placeholder: the seconds that its owner has. Azure takes letters and digits only."""
_PLACEHOLDER_BYTES = 61
"""Random ones, so that no two have the same ETag; few other objects have this size."""
_GRACE_SECONDS = 60
"""For a last request that was under way when its owner gave up."""
_STATUS = re.compile(r"status code: ([0-9]{3}(?: [A-Z][A-Za-z ]{0,40})?)")
_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")


class ObjectStore:
    """Keeps objects in a bucket, below the prefix that the bucket was opened with."""

    def __init__(self, bucket: "Bucket") -> None:
        self._bucket = bucket

    async def prove(self) -> None:
        """Tries that the store keeps one of two contents of the same key; SettingsError when it does not answer so.

        An old server may not know the condition, ignore it, and let one upload replace another.
        """
        key = f"{INCOMING}{secrets.token_hex(16)}"
        try:
            await self._put(key, b"1")
            try:
                with suppress(ExistsError):
                    await self._put(key, b"2")
                    raise SettingsError("the object store ignores If-None-Match: uploads would replace one another")
            finally:
                await self.delete(key)
        except StoreError as error:
            raise SettingsError(f"the object store cannot be used: {error}") from None

    async def create(self, key: str, content: bytes | Path) -> None:
        """Keeps content under a key that is not taken.

        StoreError, and not ExistsError, while somebody else is still sending a large one: he may fail.
        """
        key_parts(key)
        if isinstance(content, bytes):
            await self._put(key, content)
            return
        size = await asyncio.to_thread(_size, key, content)
        if size <= PART_BYTES:
            await self._put(key, await asyncio.to_thread(content.read_bytes))
        else:
            await self._put_large(key, content, LEAST_SECONDS + size // SLOWEST_BYTES_PER_SECOND)
        await asyncio.to_thread(content.unlink, missing_ok=True)

    async def stat(self, key: str) -> Kept | None:
        """Tells what is kept under a key."""
        key_parts(key)
        with _told(key, "looked at"):
            try:
                found = await obstore.head_async(self._bucket, key)
            except FileNotFoundError:
                return None
            if await self._is_placeholder(key, found["size"]):
                return None
            return Kept(key, found["size"], found["last_modified"].timestamp())

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yields bytes of what is kept; MissingError when it is deleted meanwhile."""
        kept = await self.stat(key)
        if kept is None:
            raise MissingError(f"{key} is not kept")
        end = kept.size if end is None else min(end, kept.size)
        while start < end:
            stop = min(end, start + RANGE_BYTES)
            with _told(key, "read"):
                try:
                    piece = memoryview(await obstore.get_range_async(self._bucket, key, start=start, end=stop))
                except FileNotFoundError:
                    raise MissingError(f"{key} is not kept") from None
            if len(piece) != stop - start:
                raise StoreError(f"{key} cannot be read: the object store sent {len(piece)} of {stop - start} bytes")
            for offset in range(0, len(piece), PIECE_BYTES):
                yield bytes(piece[offset : offset + PIECE_BYTES])
            start = stop

    async def list(self, prefix: str) -> AsyncIterator[Kept]:
        """Yields what is kept below a prefix, in the order of keys; a page of 1,000 is in memory."""
        prefix_parts(prefix)
        last = ""
        pages = aiter(obstore.list(self._bucket, prefix or None, chunk_size=PAGE))
        while True:
            with _told(prefix or "the store", "listed"):
                page = await anext(pages, None)
            if page is None:
                return
            for found in page:
                key = found["path"]
                if key <= last:
                    raise StoreError(f"{prefix or 'the store'} cannot be listed: keys do not come in order")
                last = key
                with _told(key, "listed"):
                    hidden = await self._is_placeholder(key, found["size"])
                if not hidden:
                    yield Kept(key, found["size"], found["last_modified"].timestamp())

    async def delete(self, key: str) -> None:
        """Removes what is kept under a key."""
        key_parts(key)
        with _told(key, "deleted"):
            await self._remove(key)

    async def free(self) -> int | None:
        """Returns None: a bucket has no end."""
        return None

    async def _put(self, key: str, content: bytes, *, attributes: "Attributes | None" = None) -> None:
        """Puts content where nothing is, or where a placeholder is whose owner is dead."""
        with _told(key, "kept"):
            try:
                await self._put_if(key, content, "create", attributes)
                return
            except AlreadyExistsError:
                dead = await self._dead_placeholder(key)
            try:
                await self._put_if(key, content, dead, attributes)
            except (PreconditionError, FileNotFoundError):
                raise _busy(key) from None

    async def _put_if(self, key: str, content: bytes, mode: "PutMode", attributes: "Attributes | None") -> None:
        await obstore.put_async(self._bucket, key, content, mode=mode, use_multipart=False, attributes=attributes)

    async def _put_large(self, key: str, content: Path, seconds: int) -> None:
        await self._put(key, secrets.token_bytes(_PLACEHOLDER_BYTES), attributes={_WRITING: str(seconds)})
        with _told(key, "kept"):
            try:
                async with asyncio.timeout(seconds):
                    await obstore.put_async(
                        self._bucket,
                        key,
                        content,
                        use_multipart=True,
                        chunk_size=PART_BYTES,
                        max_concurrency=PARTS_AT_ONCE,
                    )
            except BaseException:
                # Also when it is cancelled: the next one need not wait for the placeholder to grow old.
                with suppress(BaseError, OSError):
                    await asyncio.shield(self._remove(key))
                raise

    async def _remove(self, key: str) -> None:
        with suppress(FileNotFoundError):
            await obstore.delete_async(self._bucket, key)

    async def _is_placeholder(self, key: str, size: int) -> bool:
        """Tells whether what is under a key is a placeholder; asks the store only when its size is that of one."""
        if size != _PLACEHOLDER_BYTES:
            return False
        try:
            return _WRITING in (await obstore.get_async(self._bucket, key)).attributes
        except FileNotFoundError:
            return True

    async def _dead_placeholder(self, key: str) -> "UpdateVersion":
        """Returns which version of a key to replace; ExistsError when it is content, StoreError while it is young."""
        try:
            found = await obstore.get_async(self._bucket, key)
        except FileNotFoundError:
            raise _busy(key) from None
        seconds = found.attributes.get(_WRITING)
        if seconds is None:
            raise ExistsError(f"{key} is kept already")
        age = await self._now() - found.meta["last_modified"]
        if age.total_seconds() <= int(seconds) + _GRACE_SECONDS:
            raise _busy(key)
        versions: UpdateVersion = {}
        if e_tag := found.meta["e_tag"]:
            versions["e_tag"] = e_tag
        if version := found.meta["version"]:
            versions["version"] = version
        return versions

    async def _now(self) -> datetime:
        """Returns the time by the store's own clock: ours may be wrong by an hour."""
        key = f"{INCOMING}{secrets.token_hex(16)}"
        try:
            await self._put_if(key, b"", "create", None)
            return (await obstore.head_async(self._bucket, key))["last_modified"]
        finally:
            await self._remove(key)


def _size(key: str, content: Path) -> int:
    try:
        found = content.lstat()
    except OSError as error:
        raise StoreError(f"{key} cannot be kept: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise StoreError(f"{key} cannot be kept: its content is no regular file")
    return found.st_size


def _busy(key: str) -> StoreError:
    return StoreError(f"{key} is just being written by somebody else")


@contextmanager
def _told(key: str, what: str) -> Iterator[None]:
    """Tells errors of obstore as ours, in our own words: its own quote addresses, headers and signatures."""
    try:
        yield
    except FileNotFoundError:
        raise StoreError(f"{key} cannot be {what}: there is no such bucket") from None
    except (BaseError, OSError, ValueError) as error:
        raise StoreError(f"{key} cannot be {what}: {_why(error)}") from None


def _why(error: Exception) -> str:
    text = str(error)
    status, code = _STATUS.search(text), _CODE.search(text)
    if status:
        return f"the object store answered {status[1]}{f' ({code[1]})' if code else ''}"
    if isinstance(error, TimeoutError):
        return "it took too long"
    if "error sending request" in text or "Timeout" in text:
        return "the object store does not answer"
    return f"obstore says {type(error).__name__}"
