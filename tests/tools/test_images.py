"""What is inside the images, and that building them twice builds them once."""

import json
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools import images

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]

TOOLS = ("py-spy", "strace", "tcpdump")
# Compressed, as they travel and are kept; what they are made of may change, their order of magnitude may not.
MOST_BYTES = {"py-spy": 8 << 20, "strace": 8 << 20, "tcpdump": 12 << 20, "shop": 32 << 20, "operator": 64 << 20}


@pytest.fixture(scope="module", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.skip("images are built by root")


@pytest.fixture(scope="module", params=sorted(images.IMAGES))
def image(request: pytest.FixtureRequest) -> tuple[str, Path]:
    """The name of an image, and its archive."""
    return request.param, images.build(request.param)


def blob(archive: tarfile.TarFile, digest: str) -> Any:
    """One blob of an OCI archive as JSON."""
    member = archive.extractfile("blobs/sha256/" + digest.removeprefix("sha256:"))
    assert member is not None
    return json.load(member)


def manifest(archive: tarfile.TarFile) -> tuple[dict[str, Any], dict[str, Any]]:
    """The manifest and the configuration of the image in the archive."""
    index = archive.extractfile("index.json")
    assert index is not None
    found = blob(archive, json.load(index)["manifests"][0]["digest"])
    return found, blob(archive, found["config"]["digest"])


def entries(path: Path) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """Every entry of every layer."""
    with tarfile.open(path) as archive:
        for layer in manifest(archive)[0]["layers"]:
            content = archive.extractfile("blobs/sha256/" + layer["digest"].removeprefix("sha256:"))
            with tarfile.open(fileobj=content) as files:
                for entry in files:
                    yield entry, files


def test_no_file_gives_more_rights_than_its_caller_has(image: tuple[str, Path]) -> None:
    """No setuid, no setgid, no file capability, no device."""
    seen = 0
    for entry, _ in entries(image[1]):
        seen += 1
        assert not entry.mode & (stat.S_ISUID | stat.S_ISGID), entry.name
        assert not [key for key in entry.pax_headers if "capability" in key], entry.name
        assert not entry.isdev(), entry.name
        assert not (entry.mode & stat.S_IWOTH and not entry.issym() and entry.name.strip("./") != "tmp"), entry.name
    assert seen > 10


def test_there_is_no_shell_and_no_package_manager(image: tuple[str, Path]) -> None:
    """Nothing in the image runs another program by name."""
    programs = {Path(entry.name).name for entry, _ in entries(image[1]) if entry.isfile() and entry.mode & 0o111}
    assert not programs & {"sh", "bash", "dash", "busybox", "perl", "apt", "apt-get", "dpkg", "su", "mount", "chroot"}


def test_the_image_is_small_and_belongs_to_nobody(image: tuple[str, Path]) -> None:
    """A pull takes a moment, and without a securityContext the image does not run as root."""
    name, path = image
    assert path.stat().st_size < MOST_BYTES[name]
    with tarfile.open(path) as archive:
        configuration = manifest(archive)[1]["config"]
    assert configuration["User"].split(":")[0] not in ("", "0", "root")


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_image_has_a_static_supervisor(name: str) -> None:
    """toe-run runs in any image: it loads nothing and is below 8 MB."""
    found = {e.name: f.extractfile(e).read() for e, f in entries(images.build(name)) if e.name == "toe-run"}  # type: ignore[union-attr]
    assert found["toe-run"].startswith(b"\x7fELF")
    assert b"/lib64/ld-linux" not in found["toe-run"]
    assert len(found["toe-run"]) < 8 << 20


@pytest.mark.parametrize("name", TOOLS)
def test_what_comes_from_debian_says_so(name: str) -> None:
    """Copyrights and package entries are there, so that scanners and lawyers find them."""
    names = {entry.name for entry, _ in entries(images.build(name))}
    if name == "py-spy":
        assert "usr/share/doc/py-spy/copyright" in names
    else:
        assert {f"var/lib/dpkg/status.d/{name}", "var/lib/dpkg/status.d/libc6"} <= names
        assert f"usr/share/doc/{name}/copyright" in names


def test_a_second_build_builds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an image is made of names its archive."""
    first = images.build("strace")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was built")

    monkeypatch.setattr(subprocess, "run", refuse)
    said: list[str] = []
    assert images.build("strace", report=said.append) == first
    assert said == []


def test_an_image_is_named_after_what_it_is_made_of_and_nothing_else() -> None:
    """A test or a page of documentation builds nothing anew; a line of the supervisor does."""
    names = [path.relative_to(images.TOP).as_posix() for path in images.sources(images.IMAGES["py-spy"])]
    assert {"tools/py-spy/Dockerfile", "tools/py-spy/requirements.txt", "tools/pack.sh", "runner/main.go"} <= set(names)
    assert not [name for name in names if name.endswith(("_test.go", ".md", ".yaml"))]
    shop = [path.name for path in images.sources(images.IMAGES["shop"])]
    assert shop == ["Dockerfile", "pack.sh", "shop.py", "load.py"]


def test_the_reference_by_digest_is_that_of_the_manifest() -> None:
    """What the builder prints is what containerd finds."""
    archive = images.build("strace")
    reference = images.pinned("strace", archive)
    assert reference.startswith("localhost/toe/strace@sha256:")
    with tarfile.open(archive) as tar:
        assert f"blobs/sha256/{reference.rpartition(':')[2]}" in tar.getnames()


def test_the_same_sources_give_the_same_supervisor(tmp_path: Path) -> None:
    """Neither the directory nor the commit is in it, so a digest can be checked by building again."""
    programs = []
    for name in ("one", "two"):
        images.compile_runner(tmp_path / name, Path.home() / ".cache" / "toe", lambda _: None)
        programs.append((tmp_path / name).read_bytes())
    assert programs[0] == programs[1]
    assert str(images.TOP).encode() not in programs[0]
