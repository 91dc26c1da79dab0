"""Programs are built from pinned modules and kept by what they were built from."""

import shutil
from pathlib import Path

import pytest

from devcluster import DevClusterError, binaries, toolchain
from devcluster.binaries import PROGRAMS, Binaries, Program

UPSTREAM = """\
module k8s.io/kubernetes

go 1.26.0

godebug default=go1.26

require (
	github.com/other/thing v1.2.3
	k8s.io/api v0.0.0
	k8s.io/client-go v0.0.0 // indirect
	k8s.io/utils v0.0.0-20260210185600-b8788abfbbc2
)

replace k8s.io/api => ./staging/src/k8s.io/api
"""


def some(cache: Path, version: str = "") -> Binaries:
    return Binaries(cache, version or binaries.pinned_version(), pytest.fail)


def test_the_pinned_version_is_a_release() -> None:
    """Our go.mod names it, with every staging module of the same release."""
    version = binaries.pinned_version()
    text = (binaries.KUBERNETES / "go.mod").read_text()
    assert f"k8s.io/api => k8s.io/api {version.replace('v1.', 'v0.')}\n" in text


def test_what_is_built_is_not_missing(tmp_path: Path) -> None:
    """A program that is there is not built again, and a half-built one does not count."""
    built = some(tmp_path)
    assert built.missing(["kubelet", "etcd"]) == ["etcd", "kubelet"]
    for name in ("etcd", "kubelet.unfinished"):
        path = built.path("kubelet" if "kubelet" in name else name).with_name(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert built.missing(["kubelet", "etcd"]) == ["kubelet"]
    assert built.ensure(["etcd"]) == {"etcd": built.path("etcd")}


def test_each_version_has_a_place_of_its_own(tmp_path: Path) -> None:
    """Two versions of Kubernetes do not mix, and share what is not of Kubernetes."""
    ours, other = some(tmp_path), some(tmp_path, "v1.35.4")
    assert ours.path("kubelet") != other.path("kubelet")
    assert ours.path("etcd") == other.path("etcd")


def test_the_shim_is_where_containerd_looks_for_it(tmp_path: Path) -> None:
    """containerd finds its shim in its path, which starts with `programs`."""
    built = some(tmp_path)
    assert built.path("containerd-shim-runc-v2").parent == built.programs


@pytest.mark.parametrize("version", ["1.35.4", "v1.35", "latest", "v2.0.0", "v1.35.4; rm"])
def test_other_versions_are_refused(tmp_path: Path, version: str) -> None:
    """What is no version is told so, before anything is fetched."""
    with pytest.raises(DevClusterError, match="no version of Kubernetes"):
        some(tmp_path, version)


def test_another_version_replaces_its_own_staging_modules() -> None:
    """Those that its go.mod has at v0.0.0 and no other, at the release of the same number."""
    text = binaries.module_text(UPSTREAM, "v1.37.1")
    assert "require k8s.io/kubernetes v1.37.1\n" in text
    assert "\tk8s.io/api => k8s.io/api v0.37.1\n" in text
    assert "\tk8s.io/client-go => k8s.io/client-go v0.37.1\n" in text
    assert "k8s.io/utils" not in text
    assert "./staging" not in text
    assert "go 1.26.0\n" in text
    assert "godebug default=go1.26\n" in text


def test_every_program_says_what_it_is_built_from() -> None:
    """Each package of ours exists, each other one is pinned by a tools.go."""
    for program in PROGRAMS.values():
        if program.package.startswith("."):
            assert (program.module / program.package / "main.go").exists()
        else:
            assert f'_ "{program.package}"' in (program.module / "tools.go").read_text()


def test_each_module_has_a_place_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of the DNS server makes that one anew, and none of those that take minutes."""
    before = {name: some(tmp_path).path(name) for name in PROGRAMS}
    shutil.copytree(binaries.DNS, tmp_path / "dns")
    (tmp_path / "dns" / "main.go").write_text("package main\n")
    monkeypatch.setattr(binaries, "DNS", tmp_path / "dns")
    monkeypatch.setitem(PROGRAMS, "coredns", Program("coredns", ".", module=tmp_path / "dns"))
    assert [name for name, path in before.items() if some(tmp_path).path(name) != path] == ["coredns"]


def test_a_small_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Before the first of 15 minutes, with the numbers."""
    go = tmp_path / "go"
    go.write_text(f"#!/bin/sh\necho {tmp_path}/cache/not/there\necho {tmp_path}\n")
    go.chmod(0o755)
    monkeypatch.setattr(toolchain, "go", lambda *_: go)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(2**40, 2**40, 2**30))
    said: list[str] = []
    built = Binaries(tmp_path, binaries.pinned_version(), said.append)
    with pytest.raises(DevClusterError, match=r"1\.0 GiB free, the build needs 8"):
        built.ensure(["etcd"])
    assert not built.path("etcd").exists()


def test_a_failed_build_is_quoted_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler's last lines are in the error, and no program is there."""
    go = tmp_path / "go"
    go.write_text('#!/bin/sh\n[ "$1" = env ] && { echo /; echo /; exit; }\necho "undefined: x" >&2; exit 1\n')
    go.chmod(0o755)
    monkeypatch.setattr(toolchain, "go", lambda *_: go)
    monkeypatch.setattr(binaries, "BUILD_BYTES", 0)
    built = Binaries(tmp_path, binaries.pinned_version(), lambda _: None)
    with pytest.raises(DevClusterError, match=r"`go build` failed .*(?s:.)*undefined: x"):
        built.ensure(["etcd"])
    assert built.missing(["etcd"]) == ["etcd"]


def test_progress_is_one_line_for_each_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its number, its name and how long it took."""
    go = tmp_path / "go"
    go.write_text(
        '#!/bin/sh\n[ "$1" = env ] && { echo /; echo /; exit; }\nwhile [ "$1" != -o ]; do shift; done; echo x > "$2"\n'
    )
    go.chmod(0o755)
    monkeypatch.setattr(toolchain, "go", lambda *_: go)
    monkeypatch.setattr(binaries, "BUILD_BYTES", 0)
    said: list[str] = []
    built = Binaries(tmp_path, binaries.pinned_version(), said.append)
    built.ensure(["etcd", "kubelet"])
    assert built.missing(["etcd", "kubelet"]) == []
    assert [line.partition(" ... ")[0] for line in said[1:-1]] == ["[1/2] etcd", "[2/2] kubelet"]
    assert said[-1].startswith("built 2 programs in ")
