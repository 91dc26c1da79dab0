"""What is inside an image, as CycloneDX: read from the finished archive, file by file.

Debian packages say what they are in the image itself (``/var/lib/dpkg/status.d``), Python's in ``dist-info``, Go's
modules in the program; what is left is toe's own.
Source: https://cyclonedx.org/docs/1.6/json/
"""

import json
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

Object = dict[str, Any]

OWN = ("app/toe/", "etc/passwd", "etc/group", "tmp")
"""Of toe itself, or made for the image."""
GO_PROGRAM = "toe-run"
_STATUS = "var/lib/dpkg/status.d/"
_DIST = re.compile(r"^app/site/([^/]+)\.dist-info/")


class Part(NamedTuple):
    """Is one component: what kind of package, which, in which version."""

    kind: str
    name: str
    version: str

    @property
    def purl(self) -> str:
        """Is its package URL."""
        place = {"deb": "deb/debian", "pypi": "pypi", "golang": "golang", "generic": "generic"}[self.kind]
        return f"pkg:{place}/{self.name}@{self.version}"


class Contents(NamedTuple):
    """Is what an archive holds: the image's digest, and its files."""

    digest: str
    files: dict[str, bytes | None]
    """By path without a leading slash; content only where something is read from it."""


def contents(archive: Path) -> Contents:
    """Reads an OCI archive of one image."""
    files: dict[str, bytes | None] = {}
    with tarfile.open(archive) as tar:
        digest = _json(tar, "index.json")["manifests"][0]["digest"]
        for layer in _json(tar, _blob(digest))["layers"]:
            with tarfile.open(fileobj=tar.extractfile(_blob(layer["digest"])), mode="r:*") as inner:
                for member in inner:
                    if member.isdir():
                        continue
                    path = member.name.removeprefix("./")
                    found = inner.extractfile(member) if member.isfile() and _is_read(path) else None
                    files[path] = found.read() if found is not None else None
    return Contents(digest, files)


def bill(name: str, found: Contents, modules: Callable[[bytes], list[Part]] | None = None) -> Object:
    """Returns the bill of materials; ``modules`` reads what a Go program is made of."""
    parts = sorted(_parts(found, modules or go_modules))
    components = [
        {"type": "library", "bom-ref": part.purl, "name": part.name, "version": part.version, "purl": part.purl}
        for part in dict.fromkeys(parts)
    ]
    kind, _, value = found.digest.partition(":")
    subject = {
        "type": "container",
        "bom-ref": name,
        "name": f"toe/{name}",
        "hashes": [{"alg": {"sha256": "SHA-256"}[kind], "content": value}],
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": subject},
        "components": components,
    }


def strangers(found: Contents, owned: Callable[[str], bool]) -> list[str]:
    """Lists files that belong to no component; ``owned`` tells whether a Debian package in the image has a path."""
    return sorted(path for path in found.files if not (_is_ours(path) or _DIST.match(path) or owned(path)))


def _parts(found: Contents, modules: Callable[[bytes], list[Part]]) -> Iterator[Part]:
    for path, content in found.files.items():
        if content is None:
            continue
        text = content.decode(errors="replace") if path != GO_PROGRAM else ""
        if path.startswith(_STATUS):
            yield Part("deb", _field(text, "Package"), _field(text, "Version"))
        elif path.endswith(".dist-info/METADATA"):
            yield Part("pypi", _field(text, "Name").lower().replace("_", "-"), _field(text, "Version"))
        elif path == GO_PROGRAM:
            yield from modules(content)
        elif path == "usr/share/doc/py-spy/copyright":
            yield Part("pypi", "py-spy", _pinned("py-spy"))


def go_modules(program: bytes) -> list[Part]:
    """Reads what a Go program was built from, as ``go version -m`` tells it."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(program)
        file.flush()
        told = subprocess.run(["go", "version", "-m", file.name], capture_output=True, text=True, check=True).stdout
    version = re.search(r": go(\S+)", told)
    found = [Part("golang", "stdlib", version.group(1))] if version else []
    return found + [Part("golang", name, v) for name, v in re.findall(r"^\s+dep\s+(\S+)\s+(\S+)", told, re.MULTILINE)]


def _pinned(name: str) -> str:
    requirements = (Path(__file__).parent / name / "requirements.txt").read_text()
    version = re.search(rf"^{name}==(\S+)", requirements, re.MULTILINE)
    return version.group(1) if version else ""


def _is_read(path: str) -> bool:
    return (
        path.startswith(_STATUS)
        or path.endswith(".dist-info/METADATA")
        or path in (GO_PROGRAM, "usr/share/doc/py-spy/copyright")
    )


def _is_ours(path: str) -> bool:
    return path.startswith((*OWN, _STATUS, "usr/share/doc/")) or path == GO_PROGRAM


def _field(text: str, name: str) -> str:
    found = re.search(rf"^{name}: (.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else ""


def _blob(digest: str) -> str:
    return str(PurePosixPath("blobs") / digest.replace(":", "/"))


def _json(tar: tarfile.TarFile, name: str) -> Any:
    member = tar.extractfile(name)
    assert member is not None
    return json.load(member)
