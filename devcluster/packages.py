"""Debian packages that the cluster needs and cannot build: installed by the command itself, which says so."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from devcluster.errors import DevClusterError

Report = Callable[[str], None]

# The packages of a node and what each is needed for: a file, or a program on the path. Where that is there, however it
# came, the package is not missed: other distributions name and place things differently.
NODE_PACKAGES = ("runc", "containernetworking-plugins", "nftables", "iproute2", "conntrack")
PROVIDES: dict[str, tuple[str, ...]] = {
    "containernetworking-plugins": ("/usr/lib/cni/ptp", "/opt/cni/bin/ptp"),
    "nftables": ("nft",),
    "iproute2": ("ip",),
}
# Root's path of an interactive shell may lack these, and most of the programs are there.
SYSTEM_DIRECTORIES = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def missing(packages: Iterable[str], *, find: Callable[[str], bool] | None = None) -> list[str]:
    """Those of the packages that are not there, judged by what they provide."""
    find = find or _is_there
    return [package for package in packages if not any(find(what) for what in PROVIDES.get(package, (package,)))]


def ensure(packages: Iterable[str], report: Report = print) -> None:
    """Install what is missing with apt-get, saying so in one line; without root or apt-get, say what to type."""
    needed = missing(packages)
    if not needed:
        return
    command = f"apt-get install {' '.join(needed)}"
    if shutil.which("apt-get") is None:
        raise DevClusterError(
            f"missing: {', '.join(needed)}",
            hint="These are the names of Debian's packages; install what contains them here.",
        )
    if os.geteuid() != 0:
        raise DevClusterError(f"missing: {', '.join(needed)}", hint=f"Type: sudo {command}")
    report(f"installing Debian packages: {' '.join(needed)}")
    failed = _install(needed)
    if failed and not _apt_get("update"):
        # The first attempt fails where the package lists are missing or older than the archive.
        failed = _install(needed)
    if failed:
        raise DevClusterError(f"apt-get could not install {', '.join(needed)}:\n{failed}", hint=f"Type: {command}")
    if still := missing(needed):
        raise DevClusterError(f"apt-get installed {', '.join(still)}, but what they provide is not there")


def _install(packages: list[str]) -> str:
    return _apt_get("install", "--yes", "--no-install-recommends", *packages)


def _apt_get(*arguments: str) -> str:
    """Run apt-get; return nothing where it worked, else the end of what it said."""
    done = subprocess.run(
        # Another apt-get may be running, of a sibling of ours or of the machine's nightly update.
        ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return ""
    lines = (done.stderr or done.stdout).strip().splitlines()
    return "\n".join(lines[-10:]) or f"exit code {done.returncode}"


def _is_there(what: str) -> bool:
    if what.startswith("/"):
        return Path(what).exists()
    return shutil.which(what) is not None or any(Path(place, what).exists() for place in SYSTEM_DIRECTORIES)
