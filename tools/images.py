"""Builds the tools' images with neither a container engine nor a registry: ``python -m tools.images [NAME...]``.

Each image comes from its Dockerfile, the same that Docker builds anywhere. What a registry would give, the images of
Debian, Go and Python, is made here: Debian by mmdebstrap, toe-run by Go on this machine, py-spy from its wheel. buildah
does the rest. The result is an OCI archive that containerd imports as ``localhost/toe/NAME:dev``. It is kept under the
hash of all that it is made of, so a second build builds nothing.

Start reading at :func:`build`.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

from devcluster import locks, packages, toolchain
from tools import sbom

TOP = Path(__file__).resolve().parent.parent

Report = Callable[[str], None]

SUITE = "bookworm"
# What the Dockerfiles would install; they find it there.
BASE_PACKAGES = ("python3", "strace", "tcpdump")
GO_NEEDED = (1, 24)


# Where the Dockerfile of each image is. Each is built from the top of the repository.
IMAGES = {
    "py-spy": TOP / "tools/py-spy/Dockerfile",
    "strace": TOP / "tools/strace/Dockerfile",
    "tcpdump": TOP / "tools/tcpdump/Dockerfile",
    "shop": TOP / "examples/shop/Dockerfile",
    "operator": TOP / "Dockerfile",
}


def build(name: str, cache: Path | None = None, report: Report | None = None) -> Path:
    """Builds the image of this name unless it is there; returns its OCI archive.

    The archive carries the name ``localhost/toe/NAME:dev``. ``cache`` is a directory such as ``~/.cache``.
    """
    workshop = Workshop((cache or Path.home() / ".cache") / "toe" / "images", report or _say)
    archive = workshop.archive(name)
    if not archive.exists():
        with locks.exclusive(
            workshop.place / "locks" / "build.lock", lambda: workshop.report("waiting for another build of images")
        ):
            if not archive.exists():
                workshop.build(name)
    return archive


def tag(name: str) -> str:
    """The name that an archive gives its image."""
    return f"localhost/toe/{name}:dev"


def pinned(name: str, archive: Path) -> str:
    """The reference by digest, which no later build can change the meaning of."""
    with tarfile.open(archive) as tar:
        member = tar.extractfile("index.json")
        assert member is not None
        index = json.load(member)
    return f"localhost/toe/{name}@{index['manifests'][0]['digest']}"


def sources(dockerfile: Path) -> list[Path]:
    """Every file that an image is made of: its Dockerfile and what that copies from the repository."""
    found = [dockerfile]
    for line in dockerfile.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words[:1] == ["COPY"] and not words[1].startswith("--from"):
            for word in words[1:-1]:
                found += compiled(TOP / word) if (TOP / word).is_dir() else [TOP / word]
    return found


def compiled(folder: Path) -> list[Path]:
    """The files of a folder that its program is made of: Go with its module, or Python."""
    if not (folder / "go.mod").exists():
        return sorted(folder.rglob("*.py"))
    module = [path for path in (folder / "go.mod", folder / "go.sum") if path.exists()]
    return [*module, *sorted(path for path in folder.glob("*.go") if not path.name.endswith("_test.go"))]


class Workshop:
    """A directory in which images are made."""

    def __init__(self, place: Path, report: Report) -> None:
        self.place = place
        self.report = report
        self.base_key = _hash([f"{SUITE} {' '.join(BASE_PACKAGES)}"])

    def archive(self, name: str) -> Path:
        """Where the finished image is, named after all that it is made of."""
        return self.place / f"{name}-{_hash([self.base_key], sources(IMAGES[name]))}.tar"

    def build(self, name: str) -> None:
        """Makes the archive; what fails leaves none."""
        packages.ensure(("mmdebstrap", "buildah"), self.report)
        dockerfile, archive = IMAGES[name], self.archive(name)
        images = {"BASE": self._base, "GOLANG": self._runner, "PYTHON": self._wheel, "SITE": self._site}
        wanted = re.findall(r"^ARG (\w+)=", dockerfile.read_text(encoding="utf-8"), re.MULTILINE)
        arguments = {argument: images[argument]() for argument in wanted}
        self.report(f"building {tag(name)}")
        self._bud(tag(name), dockerfile, TOP, arguments)
        unfinished = archive.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        self._buildah("push", "--quiet", tag(name), f"oci-archive:{unfinished}:{tag(name)}")
        unfinished.rename(archive)

    def _base(self) -> str:
        """Debian with the packages that the Dockerfiles install, as an image for build stages."""
        image = f"localhost/toe/base:{self.base_key}"
        root = self.place / f"base-{self.base_key}"
        if not (root / "base.tar").exists():
            self.report(f"making a Debian {SUITE} with {', '.join(BASE_PACKAGES)}")
            root.mkdir(parents=True, exist_ok=True)
            include = ",".join(BASE_PACKAGES)
            _run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={include}", SUITE, root / "unfinished.tar")
            (root / "unfinished.tar").rename(root / "base.tar")
        self._image(image, root, "scratch", "ADD base.tar /")
        return image

    def _runner(self) -> str:
        """What stands for Go's image: the base with toe-run in it, already compiled."""
        key = _hash([], compiled(TOP / "runner"))
        root = self.place / f"runner-{key}"
        if not (root / "toe-run").exists():
            root.mkdir(parents=True, exist_ok=True)
            compile_runner(root / "toe-run", self.place.parent, self.report)
        image = f"localhost/toe/runner:{key}-{self.base_key}"
        self._image(image, root, self._base(), "COPY toe-run /toe-run")
        return image

    def _wheel(self) -> str:
        """What stands for Python's image: the base with py-spy of the wheel whose hash the repository knows."""
        requirements = TOP / "tools/py-spy/requirements.txt"
        key = _hash([], [requirements])
        root = self.place / f"py-spy-wheel-{key}"
        if not root.exists():
            unfinished = root.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps")
            safe = ("--only-binary=:all:", "--require-hashes", "--root-user-action=ignore")
            _run(*pip, *safe, "--target", unfinished / "wheel", "-r", requirements)
            shutil.copy(unfinished / "wheel/bin/py-spy", unfinished / "py-spy")
            shutil.copy(next((unfinished / "wheel").glob("*.dist-info/licenses/LICENSE")), unfinished / "LICENSE")
            unfinished.rename(root)
        image = f"localhost/toe/py-spy-wheel:{key}-{self.base_key}"
        self._image(image, root, self._base(), "COPY py-spy LICENSE /")
        return image

    def _site(self) -> str:
        """What stands for Python's image: the base with the packages that toe runs on, by the lock file's hashes."""
        requirements = TOP / "requirements/run.txt"
        key = _hash([sys.version], [requirements])
        root = self.place / f"site-{key}"
        if not root.exists():
            unfinished = root.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps")
            # Debian bookworm's Python, whichever runs this.
            safe = ("--only-binary=:all:", "--python-version=3.11", "--implementation=cp", "--require-hashes")
            _run(*pip, *safe, "--root-user-action=ignore", "--target", unfinished / "site", "-r", requirements)
            unfinished.rename(root)
        image = f"localhost/toe/site:{key}-{self.base_key}"
        self._image(image, root, self._base(), "COPY site /site")
        return image

    def _image(self, image: str, context: Path, origin: str, line: str) -> None:
        """An image of one line more than its origin, unless it is there."""
        if self._buildah("images", "--quiet", "--filter", f"reference={image}").strip():
            return
        (context / "Dockerfile").write_text(f"FROM {origin}\n{line}\n", encoding="utf-8")
        self._bud(image, context / "Dockerfile", context, {})

    def _bud(self, image: str, dockerfile: Path, context: Path, arguments: dict[str, str]) -> None:
        given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        # Dates are the only thing that differs between two builds of the same; with none the digest is the same too.
        fixed = ("--isolation=chroot", "--pull-never", "--timestamp=0", "--quiet")
        self._buildah("bud", *fixed, *given, f"--tag={image}", f"--file={dockerfile}", str(context))

    def _buildah(self, command: str, *arguments: str) -> str:
        """buildah with its own store and mounts: nothing of this machine's containers is touched and no mount stays."""
        store = (f"--root={self.place / 'store'}", f"--runroot={self.place / 'run'}")
        return _run("unshare", "--mount", "buildah", *store, command, *arguments)


def compile_runner(target: Path, cache: Path, report: Report) -> None:
    """Compiles toe-run: static, and the same bytes wherever the repository lies."""
    go = toolchain.go(cache, GO_NEEDED, report)
    unfinished = target.with_suffix(".unfinished")
    options = ("-trimpath", "-buildvcs=false", "-ldflags=-s -w")
    _run("env", "CGO_ENABLED=0", go, "build", *options, "-o", unfinished, ".", cwd=TOP / "runner")
    unfinished.rename(target)


def _hash(texts: Iterable[str], files: Iterable[Path] = ()) -> str:
    total = hashlib.sha256()
    for text in texts:
        total.update(text.encode() + b"\0")
    for path in files:
        content = path.read_bytes()
        total.update(f"{path.relative_to(TOP)} {len(content)}\0".encode() + content)
    return total.hexdigest()[:16]


class BuildError(Exception):
    """Is a command that failed, with the end of what it said."""


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        said = "\n".join((done.stderr + done.stdout).strip().splitlines()[-15:])
        raise BuildError(f"{' '.join(str(word) for word in command[:6])} ... failed ({done.returncode}):\n{said}")
    return done.stdout


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main(names: list[str], cache: Path | None, *, bill_of: bool = False) -> int:
    """Builds the images named, all when none is; prints one reference by digest and its archive per line.

    ``bill_of``: prints what is in each, in place of that.
    """
    for name in names or list(IMAGES):
        try:
            archive = build(name, cache)
        except BuildError as error:
            _say(f"error: {error}")
            return 1
        if bill_of:
            print(json.dumps(sbom.bill(name, sbom.contents(archive)), indent=1), flush=True)
        else:
            print(f"{pinned(name, archive)}\t{archive}", flush=True)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.images", description="Builds the tools' images.")
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *IMAGES], help=", ".join(IMAGES))
    parser.add_argument("--sbom", action="store_true", help="print what is in each image, as CycloneDX")
    given = os.environ.get("XDG_CACHE_HOME")  # noqa: TID251 - read here and nowhere else in this module
    options = parser.parse_args()
    sys.exit(main(options.names, Path(given) if given else None, bill_of=options.sbom))
