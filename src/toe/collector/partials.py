"""What has come of files that are not whole yet: a directory of our own, one below it for each ticket.

``F.part`` holds the bytes, ``F.at`` how many of them count, ``F.name`` what the tool called the file. Bytes beyond the
number in ``F.at`` came with a chunk that was never verified, so a process that is killed at any byte leaves nothing
that counts and is not right. Names in here are made of hexadecimal digits only. Everything here is for threads.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from toe.errors import SettingsError

PLACE = "partial"
"""Below a volume's root, which belongs to somebody else and has a lost+found."""
PART, AT, NAME = ".part", ".at", ".name"
PIECE_BYTES = 1024 * 1024
_DIGITS = 20
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Found(NamedTuple):
    """Is one file that had begun: its id, its name and how much of it counts; None where the bytes have gone on."""

    id: str
    name: str
    offset: int | None


class Partials:
    """Keeps partial files below a root, modes 0700 and 0600."""

    def __init__(self, root: Path) -> None:
        """Raises SettingsError when nothing can be written there."""
        root = root / PLACE
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            root.chmod(0o700)
            probe = root / "probe"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise SettingsError(f"nothing can be kept in {root}: {error.strerror}") from error
        self.root = root
        self._lock: int | None = None

    def lock(self) -> None:
        """Keeps other processes away until this one ends; raises SettingsError when one is here already."""
        self._lock = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(f"{self.root}: another collector uses it; each needs a directory of its own") from None
        except OSError:  # a file system without locks: the installation sees to it
            return

    def begin(self, ticket: str, file: str, name: str) -> None:
        """Writes down that a file of this name has begun, with nothing of it.

        Not durable: after a loss of power the file may have another name or none, which its id shows, and begins anew.
        """
        place = self.root / ticket
        place.mkdir(mode=0o700, exist_ok=True)
        self.reset(ticket, file)
        fresh = place / f"{file}.new"
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, _FLAGS | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, name.encode())
        finally:
            os.close(descriptor)
        fresh.rename(place / f"{file}{NAME}")

    def reset(self, ticket: str, file: str) -> None:
        """Forgets what came of a file, but not its name."""
        self.mark(ticket, file, 0)
        os.close(self.open(ticket, file, 0))

    def open(self, ticket: str, file: str, offset: int) -> int:
        """Opens the bytes of a file, cut to what counts."""
        descriptor = os.open(self.path(ticket, file), _FLAGS, 0o600)
        try:
            os.ftruncate(descriptor, offset)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def mark(self, ticket: str, file: str, offset: int) -> None:
        """Makes this many bytes count: one write of one number."""
        descriptor = os.open(self.root / ticket / f"{file}{AT}", _FLAGS, 0o600)
        try:
            os.pwrite(descriptor, b"%0*d" % (_DIGITS, offset), 0)
        finally:
            os.close(descriptor)

    def digest(self, ticket: str, file: str, offset: int) -> "hashlib._Hash":
        """Returns the running sha256 of what counts; OSError when less is there."""
        running = hashlib.sha256()
        with self.path(ticket, file).open("rb") as content:
            while offset and (piece := content.read(min(PIECE_BYTES, offset))):
                running.update(piece)
                offset -= len(piece)
        if offset:
            raise OSError(f"{offset} bytes are missing")
        return running

    def sync(self, ticket: str, file: str) -> None:
        """Makes the bytes of a file durable."""
        descriptor = os.open(self.path(ticket, file), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)

    def path(self, ticket: str, file: str) -> Path:
        """Returns where the bytes of a file are."""
        return self.root / ticket / f"{file}{PART}"

    def remove(self, ticket: str, file: str) -> None:
        """Removes all of a file: its name last, so that what remains after a crash is still known."""
        for suffix in (PART, AT, NAME):
            (self.root / ticket / f"{file}{suffix}").unlink(missing_ok=True)

    def scan(self, ticket: str) -> list[Found]:
        """Returns every file that had begun with a ticket."""
        place = self.root / ticket
        found = []
        with suppress(FileNotFoundError):
            for path in sorted(place.glob(f"*{NAME}")):
                file = path.name.removesuffix(NAME)
                found.append(Found(file, path.read_bytes().decode(errors="replace"), self._offset(ticket, file)))
        return found

    def _offset(self, ticket: str, file: str) -> int | None:
        try:
            size = self.path(ticket, file).stat().st_size
        except FileNotFoundError:
            return None
        try:
            offset = int((self.root / ticket / f"{file}{AT}").read_bytes())
        except (FileNotFoundError, ValueError):
            return 0
        return offset if 0 <= offset <= size else 0  # a machine that lost power kept the number and not the bytes

    def tickets(self) -> Sequence[str]:
        """Returns the tickets of which something is here."""
        return sorted(path.name for path in self.root.iterdir())

    def drop(self, ticket: str) -> int:
        """Removes everything of a ticket, and tells how many files had not been whole."""
        place = self.root / ticket
        parts = len(list(place.glob(f"*{PART}"))) if place.is_dir() else 0
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
        return parts

    def free(self) -> int:
        """Tells how many bytes the volume still takes; 0 when no file can be made any more."""
        room = os.statvfs(self.root)
        return 0 if room.f_files and not room.f_favail else room.f_bavail * room.f_frsize


def write_at(descriptor: int, offset: int, pieces: Iterable[bytes], hashes: Sequence["hashlib._Hash"]) -> None:
    """Writes pieces one after the other from an offset on, and hashes them."""
    for piece in pieces:
        for running in hashes:
            running.update(piece)
        rest = memoryview(piece)
        while rest:
            written = os.pwrite(descriptor, rest, offset)
            rest, offset = rest[written:], offset + written
