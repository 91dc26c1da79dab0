"""One file in pieces: whole or not at all, however often it is interrupted."""

import hashlib
import random
from pathlib import Path

import msgspec
import pytest

from tests.report.test_artifacts import a_kept_artifact
from toe.cli import pieces
from toe.cli.files import Folder
from toe.cli.meter import Silent
from toe.cli.pieces import fetch
from toe.errors import NotFoundError, UnavailableError
from toe.report.artifacts import KeptArtifact

CONTENT = random.Random(5).randbytes(10_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ARTIFACT = a_kept_artifact(bytes=len(CONTENT), sha256=SHA256)


class Shelf:
    """Has one file; ``longest`` is what it can deliver at once, ``until`` the byte at which it breaks."""

    def __init__(self, content: bytes = CONTENT, longest: int = 10**9, until: int = 10**9) -> None:
        self.content, self.longest, self.until = content, longest, until
        self.read_spans: list[tuple[int, int]] = []

    async def read(self, artifact: KeptArtifact, start: int, end: int) -> bytes:
        self.read_spans.append((start, end))
        if end > self.until:
            raise NotFoundError("gone", status=404)
        if end - start > self.longest:
            raise UnavailableError("cut after 60 s")
        return self.content[start:end]


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE", 1000)
    monkeypatch.setattr(pieces, "LEAST", 100)


async def _fetch(shelf: Shelf, place: Path, artifact: KeptArtifact = ARTIFACT) -> bool:
    with Folder(place) as folder, folder.part("pod/file", artifact.sha256) as part:
        if not await fetch(shelf, artifact, part, Silent()):  # type: ignore[arg-type]
            return False
        part.finish()
        return True


async def test_a_file_comes_whole(tmp_path: Path) -> None:
    """In pieces; nothing but the file is left."""
    shelf = Shelf()
    assert await _fetch(shelf, tmp_path)
    assert len(shelf.read_spans) == 10
    assert [path.name for path in (tmp_path / "pod").iterdir()] == ["file"]
    assert (tmp_path / "pod/file").read_bytes() == CONTENT
    assert (tmp_path / "pod/file").stat().st_mode & 0o777 == 0o600


async def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    """Nothing is asked for."""
    shelf = Shelf(b"")
    empty = msgspec.structs.replace(ARTIFACT, bytes=0, sha256=hashlib.sha256().hexdigest())
    assert await _fetch(shelf, tmp_path, empty)
    assert shelf.read_spans == []
    assert (tmp_path / "pod/file").read_bytes() == b""


@pytest.mark.parametrize("until", [999, 1000, 4500, 9999])
async def test_a_file_goes_on_where_it_stopped(tmp_path: Path, until: int) -> None:
    """What was written is a beginning of the file, and is not fetched again."""
    with pytest.raises(NotFoundError):
        await _fetch(Shelf(until=until), tmp_path)
    assert not (tmp_path / "pod/file").exists()
    there = sum(path.stat().st_size for path in (tmp_path / "pod").iterdir())
    assert there == until // 1000 * 1000
    shelf = Shelf()
    assert await _fetch(shelf, tmp_path)
    assert min(shelf.read_spans)[0] == there
    assert (tmp_path / "pod/file").read_bytes() == CONTENT


async def test_a_slow_line_gets_smaller_pieces(tmp_path: Path) -> None:
    """The API server cuts an answer after 60 s; half of it may pass. Below the least there is no hope."""
    assert await _fetch(Shelf(longest=130), tmp_path / "a")
    with pytest.raises(UnavailableError):
        await _fetch(Shelf(longest=50), tmp_path / "b")


async def test_a_beginning_that_was_damaged_is_fetched_again(tmp_path: Path) -> None:
    """Or one that is too long: the whole counts."""
    for damaged in (b"x" * 3000, b"x" * 20_000):
        (tmp_path / "pod").mkdir(exist_ok=True)
        (tmp_path / f"pod/.{SHA256[:32]}.part").write_bytes(damaged)
        assert await _fetch(Shelf(), tmp_path)
        assert (tmp_path / "pod/file").read_bytes() == CONTENT


async def test_other_content_is_never_saved(tmp_path: Path) -> None:
    """What was recorded decides; what came is thrown away."""
    assert not await _fetch(Shelf(b"y" * len(CONTENT)), tmp_path)
    assert list((tmp_path / "pod").iterdir()) == []
