"""One command at a time, and no lock outlives its holder."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from devcluster import locks

ROOT = Path(__file__).parents[2]


def test_a_lock_leaves_no_file(tmp_path: Path) -> None:
    """Nor the directory that was made for it."""
    path = tmp_path / "run" / "lock"
    with locks.exclusive(path, pytest.fail):
        assert path.exists()
    assert not path.parent.exists()


def test_an_error_ends_it_too(tmp_path: Path) -> None:
    """A command that fails leaves no lock behind."""
    path = tmp_path / "run" / "lock"
    with pytest.raises(KeyError), locks.exclusive(path, pytest.fail):
        raise KeyError
    assert not path.parent.exists()


def test_the_second_waits_for_the_first(tmp_path: Path) -> None:
    """It is told that it waits, and goes on when the first has ended."""
    path, order, waits = tmp_path / "run" / "lock", [], threading.Event()

    def second() -> None:
        with locks.exclusive(path, waits.set):
            order.append("second")

    with locks.exclusive(path, pytest.fail):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(5)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]
    assert not path.exists()


def test_many_take_turns(tmp_path: Path) -> None:
    """Never two at once, though each one removes the file."""
    path, inside, seen = tmp_path / "run" / "lock", [], []

    def turn() -> None:
        for _ in range(50):
            with locks.exclusive(path, lambda: None):
                inside.append(1)
                seen.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=turn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert seen == [1] * 200


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    """Its file may be left; its lock is not."""
    path = tmp_path / "lock"
    program = (
        "import os, sys, pathlib\nfrom devcluster import locks\n"
        "with locks.exclusive(pathlib.Path(sys.argv[1]), print):\n    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT, check=False)
    assert path.exists()
    with locks.exclusive(path, pytest.fail):
        pass
