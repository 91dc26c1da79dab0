"""A directory that results are saved in, and nothing outside of it, whatever names come from a pod."""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from toe.cli.sentences import ComplaintError
from toe.report.frames import unsafe

Saved = Literal["saved", "there already", "other content"]
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
        if why := unsafe(name):
            raise ComplaintError(f"{name!r} is not saved: {why}")
        try:
            with self._directory(name.split("/")[:-1]) as directory:
                return self._save(directory, name.rsplit("/", 1)[-1], content)
        except OSError as error:
            raise ComplaintError(
                f"{self.root / name} cannot be saved: {error.strerror}", hints=["--directory names another place"]
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
