"""A directory as a store: of a volume, of a laptop. The embedded default.

Content comes under a temporary name of the same file system, is made durable (fsync), and gets its own name by a rename
that never replaces. Every directory on the way is opened from the one above it and never through a link, so nobody
who can plant links in the volume leads a read or a write out of it.
"""

import asyncio
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from toe.errors import ExistsError, MissingError, SettingsError, StoreError
from toe.store.names import key_parts, prefix_parts
from toe.store.port import Kept
from toe.store.rename import rename_new

PIECE_BYTES = 1024 * 1024
"""Read and written at once."""
THREADS = 16
"""For calls that wait for the disk."""
LEAST_FILES = 16
"""Below so many inodes there is no room: a content, its record and their directories need seven."""
PARTIAL = ".partial"
"""Directory of temporary names; no key begins with a dot, but for ``.toe``."""

_TRIES = 100
"""How often a directory may be removed under a creator's hands, by the deletion of its last content."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Non-blocking: a FIFO that somebody planted would otherwise hold a thread for ever."""
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_NOT_OPENABLE = (*_NOT_THERE, errno.ENXIO)
"""The last one: a socket."""
_NOT_MOVABLE = (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK)

T = TypeVar("T")


class DirectoryStore:
    """Keeps objects in files below a root, modes 0700 and 0600 whatever the umask. Several may share one root.

    Makes the root when it is not there, and removes what killed processes left half written. Raises SettingsError when
    it cannot be written.
    """

    def __init__(self, root: Path) -> None:
        try:
            _make_root(root)
            self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._partial = _child(self._root, PARTIAL, make=True)
            if not os.access(root, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise SettingsError(f"nothing can be kept in {root}: {error.strerror}") from error
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        self._sweep()

    async def create(self, key: str, content: bytes | Path) -> None:
        """Keeps content under a key that is not taken; a Path of the same file system is moved, else copied."""
        await self._in_thread(self._create, key, key_parts(key), content)

    async def stat(self, key: str) -> Kept | None:
        """Tells what is kept under a key."""
        return await self._in_thread(self._stat, key, key_parts(key))

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yields bytes of what is kept; what is deleted meanwhile is read to its end."""
        file = await self._in_thread(self._open, key, key_parts(key))
        try:
            while end is None or start < end:
                size = PIECE_BYTES if end is None else min(PIECE_BYTES, end - start)
                piece = await self._in_thread(_told("read"), key, partial(os.pread, file, size, start))
                if not piece:
                    return
                start += len(piece)
                yield piece
        finally:
            os.close(file)

    async def list(self, prefix: str) -> AsyncIterator[Kept]:
        """Yields what is kept below a prefix, in the order of keys; one directory a level is in memory."""
        above = prefix_parts(prefix)
        waiting = [Kept("".join(f"{name}/" for name in above), -1, 0)]
        while waiting:
            kept = waiting.pop()
            if kept.size >= 0:
                yield kept
            else:
                waiting += reversed(await self._in_thread(self._list, kept.key, tuple(kept.key.split("/")[:-1])))

    async def delete(self, key: str) -> None:
        """Removes what is kept under a key, and directories that became empty."""
        await self._in_thread(self._delete, key, key_parts(key))

    async def free(self) -> int | None:
        """Tells how many bytes an unprivileged process may still write; 0 when hardly a file can be made."""
        room = await self._in_thread(_told("measured"), "the volume", partial(os.fstatvfs, self._root))
        if room.f_files and room.f_favail < LEAST_FILES:
            return 0
        return int(room.f_bavail * room.f_frsize)

    async def sweep(self) -> int:
        """Removes what killed processes left half written, and tells how many files it were."""
        return await self._in_thread(self._sweep)

    def close(self) -> None:
        """Waits for what is under way and lets the root go."""
        self._threads.shutdown()
        os.close(self._partial)
        os.close(self._root)

    async def _in_thread(self, call: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(call, *arguments))

    # What follows runs in threads.

    def _create(self, key: str, parts: tuple[str, ...], content: bytes | Path) -> None:
        if self._stat(key, parts) is not None:
            raise ExistsError(f"{key} is kept already")
        try:
            if isinstance(content, Path):
                if not self._moved(content, parts):
                    self._write(partial(_copy, content), parts)
                    content.unlink(missing_ok=True)
            else:
                self._write(partial(_write_all, content), parts)
        except FileExistsError:
            raise ExistsError(f"{key} is kept already") from None
        except OSError as error:
            raise StoreError(f"{key} cannot be kept: {error.strerror}") from error

    def _write(self, write: Callable[[int], None], parts: tuple[str, ...]) -> None:
        with self._temporary() as (name, file):
            write(file)
            os.fsync(file)
            self._place(name, self._partial, parts)

    @contextmanager
    def _temporary(self) -> Iterator[tuple[str, int]]:
        """Yields a new file; it is locked, so a sweep of another process knows that it is not left behind."""
        name, file = self._locked()
        try:
            os.fchmod(file, 0o600)
            yield name, file
        finally:
            os.close(file)
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._partial)

    def _locked(self) -> tuple[str, int]:
        while True:
            name = secrets.token_hex(16)
            file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self._partial)
            with suppress(OSError):  # A file system without locks: then nothing is ever swept there.
                fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file).st_nlink:
                return name, file
            os.close(file)  # A sweep came between its making and its lock.

    def _moved(self, content: Path, parts: tuple[str, ...]) -> bool:
        """Tells whether a file could be moved to its place: not from elsewhere, nor one with a second name."""
        file = os.open(content, _FILE)
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "its content is no regular file")
            if found.st_dev != os.fstat(self._root).st_dev or found.st_nlink != 1:
                return False
            os.fchmod(file, 0o600)
            os.utime(file)
            os.fsync(file)
            self._place(str(content), None, parts)
        except OSError as error:
            if error.errno in _NOT_MOVABLE:
                return False
            raise
        finally:
            os.close(file)
        return True

    def _place(self, source: str, source_fd: int | None, parts: tuple[str, ...]) -> None:
        for left in reversed(range(_TRIES)):
            try:
                with self._chain(parts[:-1], make=True) as chain:
                    rename_new(source, parts[-1], source_fd=source_fd, target_fd=chain[-1])
                    # All of them: another creator may have made one and not yet written it down.
                    for directory in reversed(chain):
                        os.fsync(directory)
                    return
            except FileNotFoundError:
                if not left:
                    raise
            except OSError:
                self._prune(parts)
                raise

    def _stat(self, key: str, parts: tuple[str, ...]) -> Kept | None:
        try:
            with self._chain(parts[:-1]) as chain:
                return _kept(key, os.stat(parts[-1], dir_fd=chain[-1], follow_symlinks=False))
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            raise StoreError(f"{key} cannot be looked at: {error.strerror}") from error

    def _open(self, key: str, parts: tuple[str, ...]) -> int:
        try:
            with self._chain(parts[:-1]) as chain:
                file = os.open(parts[-1], _FILE, dir_fd=chain[-1])
        except OSError as error:
            if error.errno in _NOT_OPENABLE:
                raise MissingError(f"{key} is not kept") from None
            raise StoreError(f"{key} cannot be read: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise MissingError(f"{key} is not kept")
        return file

    def _list(self, prefix: str, parts: tuple[str, ...]) -> Sequence[Kept]:
        """Returns what is directly below a prefix, directories with a size of -1, in the order of keys."""
        found: list[Kept] = []
        try:
            with self._chain(parts) as chain, os.scandir(chain[-1]) as entries:
                for entry in entries:
                    with suppress(StoreError, FileNotFoundError):  # A name that is none of ours; or it is gone.
                        found += _entry(prefix + entry.name, entry)
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise StoreError(f"{prefix or 'the root'} cannot be listed: {error.strerror}") from error
        return sorted(found, key=lambda kept: kept.key)

    def _delete(self, key: str, parts: tuple[str, ...]) -> None:
        try:
            with self._chain(parts[:-1]) as chain:
                if _kept(key, os.stat(parts[-1], dir_fd=chain[-1], follow_symlinks=False)) is None:
                    return
                os.unlink(parts[-1], dir_fd=chain[-1])
                os.fsync(chain[-1])
        except OSError as error:
            if error.errno in _NOT_THERE:
                return
            raise StoreError(f"{key} cannot be deleted: {error.strerror}") from error
        self._prune(parts)

    def _prune(self, parts: tuple[str, ...]) -> None:
        """Removes the directories above a name that are empty, the lowest first."""
        for depth in reversed(range(len(parts) - 1)):
            try:
                with self._chain(parts[:depth]) as chain:
                    os.rmdir(parts[depth], dir_fd=chain[-1])
                    os.fsync(chain[-1])
            except FileNotFoundError:
                continue
            except OSError:  # It is not empty, or somebody planted something: it does no harm.
                return

    def _sweep(self) -> int:
        swept = 0
        for name in _told("listed")(PARTIAL, lambda: os.listdir(self._partial)):
            with suppress(OSError):  # Another process writes it, or removed it, or nothing can be locked here.
                file = os.open(name, os.O_RDWR | _FILE, dir_fd=self._partial)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(name, dir_fd=self._partial)
                    swept += 1
                finally:
                    os.close(file)
        return swept

    @contextmanager
    def _chain(self, names: tuple[str, ...], *, make: bool = False) -> Iterator[Sequence[int]]:
        """Yields the directories from the root down to the last of ``names``, open; no link is followed."""
        with ExitStack() as stack:
            chain = [self._root]
            for name in names:
                chain.append(_child(chain[-1], name, make=make))
                stack.callback(os.close, chain[-1])
            yield chain


def _make_root(root: Path) -> None:
    with suppress(FileExistsError):
        root.parent.mkdir(parents=True, exist_ok=True)
        root.mkdir(mode=0o700)
        root.chmod(0o700)


def _child(directory: int, name: str, *, make: bool) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=directory)
    except FileNotFoundError:
        if not make:
            raise
    made = False
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=directory)
        made = True
    child = os.open(name, _DIRECTORY, dir_fd=directory)
    if made:
        os.fchmod(child, 0o700)
    return child


def _entry(key: str, entry: "os.DirEntry[str]") -> list[Kept]:
    if entry.is_dir(follow_symlinks=False):
        prefix_parts(f"{key}/")
        return [Kept(f"{key}/", -1, 0)]
    key_parts(key)
    kept = _kept(key, entry.stat(follow_symlinks=False))
    return [kept] if kept else []


def _kept(key: str, found: os.stat_result) -> Kept | None:
    return Kept(key, found.st_size, found.st_mtime) if stat.S_ISREG(found.st_mode) else None


def _write_all(content: bytes, file: int) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file, rest[:PIECE_BYTES]) :]


def _copy(content: Path, file: int) -> None:
    source = os.open(content, _FILE)
    try:
        while piece := os.read(source, PIECE_BYTES):
            _write_all(piece, file)
    finally:
        os.close(source)


def _told(what: str) -> Callable[[str, Callable[[], T]], T]:
    """Returns a caller that tells an error of the operating system as one of the store."""

    def call(key: str, inner: Callable[[], T]) -> T:
        try:
            return inner()
        except OSError as error:
            raise StoreError(f"{key} cannot be {what}: {error.strerror}") from error

    return call
