"""A rename that never replaces, in both ways in which it is done."""

import os
import threading
from pathlib import Path

import pytest

from toe.store import rename
from toe.store.rename import rename_new


@pytest.fixture(params=["renameat2", "link"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    if request.param == "link":
        monkeypatch.setattr(rename, "_RENAMEAT2", None)
    directory = os.open(tmp_path, os.O_RDONLY)
    yield directory
    os.close(directory)


def test_a_name_that_is_free_is_given(place: int, tmp_path: Path) -> None:
    """The old one is gone."""
    (tmp_path / "old").write_text("x")

    rename_new("old", "new", source_fd=place, target_fd=place)

    assert os.listdir(place) == ["new"]


def test_a_source_may_be_a_path(place: int, tmp_path: Path) -> None:
    """Of a file elsewhere."""
    (tmp_path / "old").write_text("x")

    rename_new(str(tmp_path / "old"), "new", target_fd=place)

    assert os.listdir(place) == ["new"]


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_a_name_that_is_taken_stays(place: int, tmp_path: Path, kind: str) -> None:
    """Whatever has it, a link that leads nowhere included."""
    (tmp_path / "old").write_text("x")
    match kind:
        case "file":
            (tmp_path / "new").write_text("y")
        case "directory":
            (tmp_path / "new").mkdir()
        case _:
            (tmp_path / "new").symlink_to("nowhere")

    with pytest.raises(FileExistsError):
        rename_new("old", "new", source_fd=place, target_fd=place)

    assert (tmp_path / "old").read_text() == "x"


def test_one_of_many_wins(place: int, tmp_path: Path) -> None:
    """Exactly one, and its file is the one that is there."""
    won: list[str] = []

    def try_it(name: str) -> None:
        (tmp_path / name).write_text(name)
        try:
            rename_new(name, "new", source_fd=place, target_fd=place)
        except FileExistsError:
            return
        won.append(name)

    threads = [threading.Thread(target=try_it, args=(f"old{number}",)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1
    assert (tmp_path / "new").read_text() == won[0]


def test_what_is_not_there_is_told(place: int) -> None:
    """As rename(2) tells it."""
    with pytest.raises(FileNotFoundError):
        rename_new("old", "new", source_fd=place, target_fd=place)
