"""Images are tar files that containerd understands."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from devcluster import DevClusterError, images

NAME = "docker.io/local/thing:1"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF and so on")
    return path


def an_archive(path: Path, members: dict[str, object]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, document in members.items():
            content = json.dumps(document).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def test_what_is_written_is_complete(tmp_path: Path, program: Path) -> None:
    """Each blob has the digest and the size by which it is referred to, from the index down to the file."""
    archive = tmp_path / "image.tar"
    images.write(archive, NAME, {"/bin/thing": program}, ["/bin/thing", "serve"])
    with tarfile.open(archive) as tar:
        blobs = {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]

    def blob(descriptor: dict[str, object]) -> bytes:
        content = blobs["blobs/" + str(descriptor["digest"]).replace(":", "/")]
        assert descriptor["size"] == len(content)
        assert descriptor["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        return content

    (entry,) = json.loads(blobs["index.json"])["manifests"]
    manifest = json.loads(blob(entry))
    config = json.loads(blob(manifest["config"]))
    layer = blob(manifest["layers"][0])
    assert config["config"]["Entrypoint"] == ["/bin/thing", "serve"]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        assert tar.getnames() == ["bin/thing"]
        assert tar.getmember("bin/thing").mode == 0o755


def test_the_same_files_are_the_same_image(tmp_path: Path, program: Path) -> None:
    """No time of day and no user gets into it: a digest can be written down."""
    one, two = tmp_path / "one.tar", tmp_path / "two.tar"
    images.write(one, NAME, {"/thing": program}, ["/thing"])
    program.touch()
    images.write(two, NAME, {"/thing": program}, ["/thing"])
    assert one.read_bytes() == two.read_bytes()


def test_its_name_is_found_again(tmp_path: Path, program: Path) -> None:
    """What is written has the full name."""
    archive = tmp_path / "image.tar"
    images.write(archive, NAME, {"/thing": program}, ["/thing"])
    assert images.names(archive) == [NAME]


def test_buildahs_archive_has_a_name(tmp_path: Path) -> None:
    """buildah writes the full name where others write the tag."""
    annotations = {"org.opencontainers.image.ref.name": "docker.io/local/bud:2"}
    archive = an_archive(tmp_path / "a.tar", {"index.json": {"manifests": [{"annotations": annotations}]}})
    assert images.names(archive) == ["docker.io/local/bud:2"]


def test_dockers_archive_has_several_names(tmp_path: Path) -> None:
    """docker save writes every tag of every image."""
    document = [{"RepoTags": ["docker.io/a/b:1", "docker.io/a/b:2"]}, {"RepoTags": None}]
    archive = an_archive(tmp_path / "a.tar", {"manifest.json": document})
    assert images.names(archive) == ["docker.io/a/b:1", "docker.io/a/b:2"]


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("thing", "docker.io/library/thing:latest"),
        ("local/thing:1", "docker.io/local/thing:1"),
        ("localhost/thing:1", "localhost/thing:1"),
        ("localhost:5000/thing", "localhost:5000/thing:latest"),
        ("example.org/a/thing:1", "example.org/a/thing:1"),
    ],
)
def test_dockers_short_names_are_made_full(tmp_path: Path, short: str, full: str) -> None:
    """docker save leaves docker.io out; containerd knows the image by its full name only."""
    archive = an_archive(tmp_path / "a.tar", {"manifest.json": [{"RepoTags": [short]}]})
    assert images.names(archive) == [full]


@pytest.mark.parametrize("annotations", [{}, {"org.opencontainers.image.ref.name": "latest"}])
def test_an_image_without_a_name_is_refused(tmp_path: Path, annotations: dict[str, str]) -> None:
    """No pod could name it; the hint says how to export it with a name."""
    archive = an_archive(tmp_path / "a.tar", {"index.json": {"manifests": [{"annotations": annotations}]}})
    with pytest.raises(DevClusterError, match="no full name") as caught:
        images.names(archive)
    assert "buildah push" in caught.value.hint


def test_other_files_are_refused(tmp_path: Path) -> None:
    """A file that is no archive, and an archive that is no image, are told apart from an image."""
    text = tmp_path / "text"
    text.write_text("hello")
    with pytest.raises(DevClusterError, match="cannot read"):
        images.names(text)
    with pytest.raises(DevClusterError, match="no image archive"):
        images.names(an_archive(tmp_path / "a.tar", {"other.json": {}}))
    with pytest.raises(DevClusterError, match="cannot read"):
        images.names(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("docker.io/local/a:1", "docker.io/local/a"),
        ("localhost:5000/a", "localhost:5000/a"),
        ("localhost:5000/a:1", "localhost:5000/a"),
        ("docker.io/local/a@sha256:0123", "docker.io/local/a"),
        ("docker.io/local/a:1@sha256:0123", "docker.io/local/a"),
    ],
)
def test_a_repository_is_a_reference_without_tag_and_digest(reference: str, expected: str) -> None:
    """The port of a registry is no tag."""
    assert images.repository(reference) == expected
