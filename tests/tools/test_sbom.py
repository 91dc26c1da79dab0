"""The bill of an image names what is really in it, and nothing in it belongs to nobody."""

import os
import re
import tarfile
from pathlib import Path

import pytest

from tools import images, sbom
from tools.sbom import Contents, Part

STATUS = "var/lib/dpkg/status.d/"


def _found(**files: str) -> Contents:
    return Contents("sha256:" + "a" * 64, {path.replace("__", "/"): text.encode() for path, text in files.items()})


def test_packages_are_named_with_their_versions_and_urls() -> None:
    """Of Debian, of Python and of Go, each once; the image is named by its digest."""
    found = Contents(
        "sha256:" + "a" * 64,
        {
            f"{STATUS}libc6": b"Package: libc6\nStatus: install ok\nVersion: 2.36-9\n",
            "app/site/PyYAML-6.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: PyYAML\nVersion: 6.0\n",
            "toe-run": b"program",
        },
    )
    bill = sbom.bill("operator", found, lambda _: [Part("golang", "example.org/zip", "v1.2.3")])
    assert [component["purl"] for component in bill["components"]] == [
        "pkg:deb/debian/libc6@2.36-9",
        "pkg:golang/example.org/zip@v1.2.3",
        "pkg:pypi/pyyaml@6.0",
    ]
    assert bill["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")


def test_a_file_of_nobody_is_found() -> None:
    """It is of no package, of no distribution and not ours."""
    files: dict[str, bytes | None] = dict.fromkeys(("app/toe/main.py", "usr/bin/python3", "usr/bin/miner"))
    assert sbom.strangers(Contents("sha256:0", files), lambda path: path == "usr/bin/python3") == ["usr/bin/miner"]


@pytest.mark.node
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["operator", "py-spy", "strace", "tcpdump"])
def test_nothing_in_an_image_belongs_to_nobody(name: str) -> None:
    """Each is of a package of Debian's that the bill names, of a distribution of Python's, or toe's own."""
    if os.geteuid() != 0:
        pytest.skip("images are built by root")
    found = sbom.contents(images.build(name))
    components = sbom.bill(name, found)["components"]
    debian = {component["name"] for component in components if "pkg:deb" in component["purl"]}
    owned = _owned(debian)
    python = {path.split("/")[2] for path in found.files if path.startswith("app/site/")}
    distributions = {component["name"] for component in components if "pkg:pypi" in component["purl"]}

    def belongs(path: str) -> bool:
        source = re.sub(r"__pycache__/([^/]+)\.cpython-311\.pyc$", r"\1.py", path)
        return source in owned or path.startswith("app/site/") or path in ("usr/bin/py-spy",)

    assert sbom.strangers(found, belongs) == []
    assert all(component["version"] for component in components)
    assert {"pkg:golang/stdlib" in component["purl"] for component in components} != {False} or name == "operator"
    if name == "operator":
        assert {"aiohttp", "cryptography", "msgspec", "obstore", "prometheus-client"} <= distributions
        assert not {"typer", "rich", "pydantic"} & (distributions | python), (
            "the command line is no part of the servers"
        )


def _owned(packages: set[str]) -> set[str]:
    """Returns the paths of Debian packages, by every name that links of the file system give them."""
    place = images.Workshop(Path.home() / ".cache" / "toe" / "images", lambda _: None)
    paths: set[str] = set()
    links: dict[str, str] = {}
    with tarfile.open(place.place / f"base-{place.base_key}" / "base.tar") as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            if member.issym():
                links[name] = member.linkname
            if name.startswith("var/lib/dpkg/info/") and name.endswith(".list"):
                package = name.rpartition("/")[2].removesuffix(".list").partition(":")[0]
                if package in packages:
                    text = tar.extractfile(member)
                    assert text is not None
                    paths |= {line.lstrip("/") for line in text.read().decode().splitlines()}
    merged = {path.removeprefix("usr/") for path in paths} | {f"usr/{path}" for path in paths} | paths
    return merged | {name for name in links if name.removeprefix("usr/") in merged or name in merged}
