"""A directory that results are saved in, and nothing outside of it, whatever names come from a pod."""

import contextlib
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from toe.cli.sentences import ComplaintError
from toe.report.frames import unsafe

Saved = Literal["saved", "there already", "other content"]
PART = ".part"
"""What the name of a file ends in that has not come whole."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 20


class Folder:
    """Saves files below ``root``, which is made when the first one comes.

    Each step opens one name relative to an open directory and follows no link, so nothing outside can be reached. A
    file appears whole or not at all: it is written under a temporary name and renamed.
    """

    def __init__(self, root: Path, *, force: bool = False) -> None:
        self.root, self._force = root, force
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        """Needs no preparation."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the directory."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def save(self, name: str, content: bytes) -> Saved:
        """Saves a file; one that is there with other content is kept, unless ``force``.

        ``name`` may have directories in it. ComplaintError when the name is unsafe or the directory cannot be written.
        """
        with self._place(name) as (directory, last):
            return self._save(directory, last, content)

    def before(self, name: str, sha256: str) -> Saved | None:
        """Tells what is there already under a name; None when a file of this content may be saved."""
        with self._place(name) as (directory, last):
            there = _digest(directory, last)
        if there is None or (self._force and there.hex() != sha256):
            return None
        return "there already" if there.hex() == sha256 else "other content"

    @contextlib.contextmanager
    def part(self, name: str, sha256: str) -> Iterator["Part"]:
        """Opens what has come of a large file; it stays until it is whole, so that the next call goes on from there."""
        with self._place(name) as (directory, last), Part(directory, last, f".{sha256[:32]}{PART}") as part:
            yield part

    @contextlib.contextmanager
    def _place(self, name: str) -> Iterator[tuple[int, str]]:
        """Opens the directory that a file goes into; ComplaintError when the name is unsafe or the disk says no."""
        if why := unsafe(name):
            raise ComplaintError(f"{name!r} is not saved: {why}")
        try:
            with self._directory(name.split("/")[:-1]) as directory:
                yield directory, name.rsplit("/", 1)[-1]
        except OSError as error:
            raise ComplaintError(
                f"{self.root / name} cannot be saved: {error.strerror}", hints=["-o names another place"]
            ) from error

    def _save(self, directory: int, name: str, content: bytes) -> Saved:
        there = _digest(directory, name)
        if there == hashlib.sha256(content).digest():
            return "there already"
        if there is not None and not self._force:
            return "other content"
        temporary = f".toe-{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(temporary, flags, 0o666, dir_fd=directory), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=directory)
            raise
        return "saved"

    @contextlib.contextmanager
    def _directory(self, parts: list[str]) -> Iterator[int]:
        """Opens, and makes, the directories down to where a file goes."""
        if self._descriptor is None:
            self.root.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        current = os.dup(self._descriptor)
        try:
            for part in parts:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o777, dir_fd=current)
                below = os.open(part, _DIRECTORY, dir_fd=current)
                os.close(current)
                current = below
            yield current
        finally:
            os.close(current)


class Part:
    """Is the beginning of a file, under a name of its own beside the file; nobody else may read or write it."""

    def __init__(self, directory: int, name: str, temporary: str) -> None:
        self._directory, self._name, self._temporary = directory, name, temporary
        self._hash = hashlib.sha256()
        self.size = 0
        """Bytes that are there."""

    def __enter__(self) -> Self:
        """Reads what is there. BlockingIOError while another call writes it, PermissionError if it is not ours."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        self._file = os.fdopen(os.open(self._temporary, flags, 0o600, dir_fd=self._directory), "r+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(self._file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink != 1:
                raise PermissionError(1, f"{self._temporary} is somebody else's")
            while chunk := self._file.read(_CHUNK):
                self._hash.update(chunk)
                self.size += len(chunk)
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves it for the next call, unless nothing has come."""
        if self.size == 0:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._directory)
        self._file.close()

    @property
    def sha256(self) -> str:
        """Is the sha256 of what is there, in hex."""
        return self._hash.hexdigest()

    def write(self, content: bytes) -> None:
        """Puts content behind what is there."""
        left = memoryview(content)
        while left:
            left = left[self._file.write(left) :]
        self._hash.update(content)
        self.size += len(content)

    def clear(self) -> None:
        """Throws away what is there."""
        self._file.seek(0)
        self._file.truncate()
        self._hash, self.size = hashlib.sha256(), 0

    def finish(self) -> None:
        """Gives the file its name, now that it is whole, for good."""
        os.fsync(self._file.fileno())
        os.replace(self._temporary, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        os.fsync(self._directory)


def _digest(directory: int, name: str) -> bytes | None:
    """Returns the hash of a file that is there, None for none. Anything but a regular file is an OSError."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return None
    digest = hashlib.sha256()
    with os.fdopen(descriptor, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()
