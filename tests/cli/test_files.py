"""Results are saved whole, below their directory and nowhere else."""

import os
from pathlib import Path

import pytest

from toe.cli.files import Folder
from toe.cli.sentences import ComplaintError


def test_a_file_is_saved_with_its_directories(tmp_path: Path) -> None:
    """The root is made when the first file comes, and no temporary file stays."""
    with Folder(tmp_path / "run") as folder:
        assert not (tmp_path / "run").exists()
        assert folder.save("pod/a/b.txt", b"1") == "saved"
    assert [path.name for path in (tmp_path / "run/pod/a").iterdir()] == ["b.txt"]
    assert (tmp_path / "run/pod/a/b.txt").read_bytes() == b"1"


def test_other_content_is_kept_unless_forced(tmp_path: Path) -> None:
    """What is the same is left alone."""
    with Folder(tmp_path) as folder:
        folder.save("a", b"1")
        assert folder.save("a", b"1") == "there already"
        assert folder.save("a", b"2") == "other content"
    assert (tmp_path / "a").read_bytes() == b"1"
    with Folder(tmp_path, force=True) as folder:
        assert folder.save("a", b"2") == "saved"
    assert (tmp_path / "a").read_bytes() == b"2"


def test_a_link_is_never_followed(tmp_path: Path) -> None:
    """Neither as a directory nor as a file, forced or not: what it points at stays as it is."""
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (outside / "file").write_text("mine")
    (root / "pod").symlink_to(outside)
    (root / "file").symlink_to(outside / "file")
    with Folder(root, force=True) as folder:
        for name in ("pod/evil", "pod/file", "file"):
            with pytest.raises(ComplaintError, match="cannot be saved"):
                folder.save(name, b"evil")
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert (outside / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "", "a\0b"])
def test_an_unsafe_name_is_refused(tmp_path: Path, name: str) -> None:
    """Even if somebody forgot to look at it before."""
    with Folder(tmp_path / "root") as folder, pytest.raises(ComplaintError, match="is not saved"):
        folder.save(name, b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """With its path and the system's reason; nothing half-written stays."""
    (tmp_path / "file").write_text("in the way")
    with Folder(tmp_path / "file") as folder, pytest.raises(ComplaintError, match="cannot be saved: File exists"):
        folder.save("a", b"x")
    (tmp_path / "dir").mkdir()
    with Folder(tmp_path, force=True) as folder, pytest.raises(ComplaintError, match="dir cannot be saved"):
        folder.save("dir", b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dir", "file"]


def test_a_pipe_in_the_way_does_not_block(tmp_path: Path) -> None:
    """Nobody writes into it, and it is not waited for."""
    os.mkfifo(tmp_path / "pipe")
    with Folder(tmp_path) as folder:
        assert folder.save("pipe", b"x") == "other content"
