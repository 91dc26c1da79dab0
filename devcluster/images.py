"""Images without a registry and without a container engine: written as tar files, loaded into containerd."""

import hashlib
import io
import json
import platform
import re
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from devcluster.errors import DevClusterError

# Go's names for what the kernel calls the machine.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"

# Where the name of an image stands in an OCI archive: containerd's own annotation, and the one that buildah writes.
NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


def write(target: Path, name: str, files: Mapping[str, Path], entrypoint: Sequence[str]) -> None:
    """Write an OCI archive of one image with one layer: `files` names each path in the image and its source.

    `name` is a full reference with a tag. The same input gives the same bytes, and so the same digest.
    """
    layer = _layer(files)
    blobs: dict[str, bytes] = {}
    layer_descriptor = _blob(blobs, layer, "application/vnd.oci.image.layer.v1.tar")
    config = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": list(entrypoint), "Env": [f"PATH={PATH}"]},
        "rootfs": {"type": "layers", "diff_ids": [layer_descriptor["digest"]]},
    }
    config_descriptor = _blob(blobs, _json(config), "application/vnd.oci.image.config.v1+json")
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config_descriptor,
        "layers": [layer_descriptor],
    }
    manifest_descriptor = _blob(blobs, _json(manifest), MANIFEST_TYPE)
    annotations = {NAME_ANNOTATIONS[0]: name, NAME_ANNOTATIONS[1]: name.rpartition(":")[2]}
    index = {"schemaVersion": 2, "manifests": [{**manifest_descriptor, "annotations": annotations}]}
    unfinished = target.with_suffix(".unfinished")
    with tarfile.open(unfinished, "w") as archive:
        _add(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(archive, "index.json", _json(index))
        for path, content in blobs.items():
            _add(archive, path, content)
    unfinished.rename(target)


def names(archive: Path) -> list[str]:
    """The full references that an archive of docker or OCI format gives its images."""
    try:
        with tarfile.open(archive) as tar:
            if (content := _member(tar, "index.json")) is not None:
                found = [_annotated(entry.get("annotations", {})) for entry in content.get("manifests", [])]
            elif (content := _member(tar, "manifest.json")) is not None:
                found = [normalized(tag) for entry in content for tag in entry.get("RepoTags") or []]
            else:
                raise DevClusterError(f"{archive} is no image archive: neither index.json nor manifest.json is in it")
    except (OSError, tarfile.TarError, ValueError) as error:
        raise DevClusterError(f"cannot read {archive} as an image archive: {error}") from error
    full = [name for name in found if name]
    if not full:
        raise DevClusterError(
            f"the images in {archive} have no full name, so no pod could use them",
            hint="With buildah: buildah push IMAGE oci-archive:FILE.tar:docker.io/local/NAME:TAG",
        )
    return full


def normalized(reference: str) -> str:
    """The full form of what docker shortens: `thing` stands for docker.io/library/thing:latest."""
    host, slash, _ = reference.partition("/")
    if not slash:
        reference = f"docker.io/library/{reference}"
    elif not ("." in host or ":" in host or host == "localhost"):
        reference = f"docker.io/{reference}"
    return reference if ":" in reference.rpartition("/")[2] else f"{reference}:latest"


def load(ctr: Path, socket: Path, archive: Path) -> list[str]:
    """Load an archive into containerd; return the references that pods can now use.

    Each image can be named by its tag, and by its digest: NAME@sha256:..., the digest being that of its manifest.
    containerd finds an image by the exact reference only, so the second name is given to it here.
    """
    wanted = names(archive)
    _ctr(ctr, socket, "import", "--local", str(archive))
    digests = _digests(_ctr(ctr, socket, "list"))
    references = []
    for name in wanted:
        if name not in digests:
            raise DevClusterError(f"containerd did not take {name} from {archive}: it has {', '.join(digests)}")
        pinned = f"{repository(name)}@{digests[name]}"
        _ctr(ctr, socket, "tag", "--force", name, pinned)
        references += [name, pinned]
    return references


def repository(reference: str) -> str:
    """A reference without its tag and digest; a port of the registry is no tag."""
    return re.sub(r":[^:/]+$", "", reference.partition("@")[0])


def _digests(listing: str) -> dict[str, str]:
    """The digest of each name in the output of `ctr images list`."""
    lines = (line.split() for line in listing.splitlines()[1:])
    return {fields[0]: fields[2] for fields in lines if len(fields) > 2}


def _ctr(ctr: Path, socket: Path, *arguments: str) -> str:
    command = [str(ctr), f"--address={socket}", "--namespace=k8s.io", "images", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DevClusterError(f"`ctr images {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout


def _annotated(annotations: Mapping[str, str]) -> str | None:
    """The first annotation that is a full reference: with a slash and a tag, not a tag alone."""
    found = (annotations.get(key, "") for key in NAME_ANNOTATIONS)
    return next((name for name in found if "/" in name and ":" in name.rpartition("/")[2]), None)


def _layer(files: Mapping[str, Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in sorted(files):
            _add(archive, name.lstrip("/"), files[name].read_bytes(), mode=0o755)
    return buffer.getvalue()


def _blob(blobs: dict[str, bytes], content: bytes, media_type: str) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    blobs[f"blobs/sha256/{digest}"] = content
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mode = mode
    archive.addfile(entry, io.BytesIO(content))


def _member(archive: tarfile.TarFile, name: str) -> Any:
    try:
        file = archive.extractfile(name)
    except KeyError:
        return None
    return json.load(file) if file is not None else None


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True).encode()
