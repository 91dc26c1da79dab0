"""Packages are installed where that is possible, else it is said what to type."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence

import pytest

from devcluster import DevClusterError, packages


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Sequence[str]]]:
    """A machine with some programs and an apt-get that answers as told; returns what apt-get was asked for."""

    def make(
        *, programs: set[str], root: bool = True, apt: bool = True, codes: Sequence[int] = (0,)
    ) -> list[Sequence[str]]:
        calls: list[Sequence[str]] = []
        left = list(codes)

        def run(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
            asked = command[command.index("apt-get") :]
            calls.append(asked)
            code = left.pop(0) if left else 0
            if code == 0 and "install" in asked:
                programs.update(asked)
            return subprocess.CompletedProcess(list(command), code, stdout="", stderr="E: Unable to locate it")

        monkeypatch.setattr(packages, "_is_there", lambda what: what in programs)
        monkeypatch.setattr(subprocess, "run", run)
        monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
        monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if apt else None)
        return calls

    return make


def test_what_is_there_is_not_missed() -> None:
    """A package counts as there when what it provides is: wherever another distribution put it."""
    there = {"nft", "/opt/cni/bin/ptp", "runc"}
    wanted = ["runc", "nftables", "containernetworking-plugins", "conntrack"]
    assert packages.missing(wanted, find=lambda what: what in there) == ["conntrack"]


def test_nothing_is_done_where_nothing_is_missing(machine: Callable[..., list[Sequence[str]]]) -> None:
    """Not even said."""
    calls = machine(programs={"runc"}, root=False, apt=False)
    packages.ensure(["runc"], report=pytest.fail)
    assert calls == []


def test_it_says_what_it_installs(machine: Callable[..., list[Sequence[str]]]) -> None:
    """One line, then one apt-get for all that is missing."""
    said: list[str] = []
    calls = machine(programs={"buildah"})
    packages.ensure(["buildah", "mmdebstrap", "runc"], said.append)
    assert said == ["installing Debian packages: mmdebstrap runc"]
    assert [call[-2:] for call in calls] == [["mmdebstrap", "runc"]]


def test_without_root_it_says_what_to_type(machine: Callable[..., list[Sequence[str]]]) -> None:
    """The command, complete."""
    calls = machine(programs=set(), root=False)
    with pytest.raises(DevClusterError, match="missing: runc") as caught:
        packages.ensure(["runc", "conntrack"])
    assert caught.value.hint == "Type: sudo apt-get install runc conntrack"
    assert calls == []


def test_without_apt_it_names_the_packages(machine: Callable[..., list[Sequence[str]]]) -> None:
    """On another distribution the reader has to find them."""
    machine(programs=set(), apt=False)
    with pytest.raises(DevClusterError, match="missing: runc") as caught:
        packages.ensure(["runc"])
    assert "Debian" in caught.value.hint


def test_old_package_lists_are_updated(machine: Callable[..., list[Sequence[str]]]) -> None:
    """Where the first attempt fails, the lists are fetched and it is tried again."""
    calls = machine(programs=set(), codes=(100, 0, 0))
    packages.ensure(["runc"], lambda _: None)
    assert ["update" in call for call in calls] == [False, True, False]


@pytest.mark.parametrize("codes", [(100, 100), (100, 0, 100)])
def test_a_failure_is_quoted(machine: Callable[..., list[Sequence[str]]], codes: Sequence[int]) -> None:
    """What apt-get said, and what to type to see it again."""
    machine(programs=set(), codes=codes)
    with pytest.raises(DevClusterError, match="Unable to locate it") as caught:
        packages.ensure(["runc"], lambda _: None)
    assert caught.value.hint == "Type: apt-get install runc"
