"""What has come of files that are not whole."""

import hashlib
import os
import stat
from pathlib import Path

import pytest

from toe.collector.partials import Found, Partials, write_at
from toe.errors import SettingsError

TICKET, FILE = "t" * 64, "f" * 32


@pytest.fixture
def partials(tmp_path: Path) -> Partials:
    """A file that has begun, with 10 bytes that count."""
    found = Partials(tmp_path / "scratch")
    found.begin(TICKET, FILE, "../a\n\u2028")
    _write(found, 0, b"0123456789")
    found.mark(TICKET, FILE, 10)
    return found


def _write(partials: Partials, offset: int, content: bytes) -> None:
    descriptor = partials.open(TICKET, FILE, offset)
    write_at(descriptor, offset, [content], ())
    os.close(descriptor)


def test_bytes_that_were_not_verified_do_not_count(partials: Partials) -> None:
    """A process that was killed while it wrote them leaves nothing but what counts."""
    _write(partials, 10, b"torn")
    assert Partials(partials.root.parent).scan(TICKET) == [Found(FILE, "../a\n\u2028", 10)]
    assert partials.digest(TICKET, FILE, 10).digest() == hashlib.sha256(b"0123456789").digest()
    os.close(partials.open(TICKET, FILE, 10))
    assert partials.path(TICKET, FILE).read_bytes() == b"0123456789"


def test_a_number_beyond_the_bytes_is_nothing(partials: Partials) -> None:
    """As after the loss of power; half a number as well."""
    partials.mark(TICKET, FILE, 11)
    assert partials.scan(TICKET)[0].offset == 0
    (partials.root / TICKET / f"{FILE}.at").write_bytes(b"x")
    assert partials.scan(TICKET)[0].offset == 0
    with pytest.raises(OSError, match="missing"):
        partials.digest(TICKET, FILE, 11)


def test_bytes_that_have_gone_on_are_told(partials: Partials) -> None:
    """They are in the store now, perhaps without a record."""
    partials.path(TICKET, FILE).unlink()
    assert partials.scan(TICKET)[0].offset is None
    partials.remove(TICKET, FILE)
    assert partials.scan(TICKET) == []


def test_all_of_a_ticket_is_dropped(partials: Partials) -> None:
    """Also what nobody knows, and a link is removed and not followed."""
    elsewhere = partials.root.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "good").write_text("x")
    (partials.root / "link").symlink_to(elsewhere)
    assert set(partials.tickets()) == {TICKET, "link"}
    assert partials.drop(TICKET) == 1
    partials.drop("link")
    assert partials.tickets() == []
    assert (elsewhere / "good").exists()


def test_a_link_is_never_written_through(partials: Partials) -> None:
    """Whoever plants one in a volume reaches nothing outside."""
    victim = partials.root.parent / "victim"
    victim.write_text("x")
    partials.path(TICKET, FILE).unlink()
    partials.path(TICKET, FILE).symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        partials.open(TICKET, FILE, 0)
    assert victim.read_text() == "x"


def test_modes_are_right_whatever_the_umask(tmp_path: Path) -> None:
    """Nobody else reads what a tool has found."""
    before = os.umask(0)
    try:
        partials = Partials(tmp_path / "scratch")
        partials.begin(TICKET, FILE, "a")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "scratch").rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert stat.S_IMODE(partials.root.stat().st_mode) == 0o700
    assert partials.free() > 0


def test_a_place_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    """With its name."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(SettingsError, match="file"):
        Partials(tmp_path / "file" / "scratch")


def test_two_never_share_a_place(tmp_path: Path) -> None:
    """They would write over each other's files."""
    Partials(tmp_path).lock()
    with pytest.raises(SettingsError, match="another collector"):
        Partials(tmp_path).lock()
