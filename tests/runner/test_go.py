"""The supervisor's own tests, in Go, run as part of ours."""

import subprocess
from pathlib import Path

import pytest

from devcluster import toolchain

RUNNER = Path(__file__).resolve().parents[2] / "runner"


@pytest.fixture(scope="session")
def go() -> Path:
    """Is a Go that can build the supervisor: the one on the path, else the wheel's."""
    return toolchain.go(Path.home() / ".cache" / "toe", (1, 24), print)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("words", [("vet", "./..."), ("test", "-count=1", "./...")], ids=" ".join)
def test_go(go: Path, words: tuple[str, ...]) -> None:
    """The supervisor passes go vet and all of its own tests."""
    done = subprocess.run([go, *words], cwd=RUNNER, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
