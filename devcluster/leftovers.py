"""Undoing everything that a cluster made, whatever became of the commands that made it."""

import ctypes
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from devcluster import network, processes
from devcluster.cgroups import Cgroup
from devcluster.errors import DevClusterError
from devcluster.layout import Addresses, Layout
from devcluster.processes import Process

# Fixed in the kubelet: links to the logs of containers, for programs that collect logs.
CONTAINER_LOG_LINKS = Path("/var/log/containers")
# Fixed in the CNI library: what the plugins answered for each pod.
CNI_RESULTS = Path("/var/lib/cni/results")

_MNT_DETACH = 2


def clear(layout: Layout, addresses: Addresses | None, recorded: Mapping[str, Process]) -> None:
    """End every process of the cluster and remove all that is left of it; nothing may be left is fine too.

    The order matters: processes hold mounts, mounts hold directories, and namespaces live as long as either.
    """
    for process in recorded.values():
        processes.send(process, processes.KILL)
    cgroup = Cgroup.of_this_machine(layout.cgroup)
    cgroup.kill()
    for process in recorded.values():
        processes.stop(process)
    unmount(layout)
    network.delete(layout, addresses)
    cgroup.remove()
    _remove_log_links(layout)
    _remove_cni_results(layout)
    for directory in (layout.run, layout.state):
        _remove_tree(directory)
        with suppress(OSError):
            directory.parent.rmdir()


def mounts(layout: Layout, mountinfo: str | None = None) -> list[Path]:
    """What is mounted in the cluster's directories, the deepest and latest first."""
    found = []
    for line in (mountinfo or Path("/proc/self/mountinfo").read_text()).splitlines():
        # Spaces and the like are written as \040: see proc_pid_mountinfo(5).
        place = Path(line.split()[4].encode().decode("unicode_escape"))
        if any(directory in (place, *place.parents) for directory in (layout.state, layout.run)):
            found.append(place)
    return found[::-1]


def unmount(layout: Layout) -> None:
    """Unmount all of them. One place may be mounted on several times."""
    library = ctypes.CDLL(None, use_errno=True)
    while places := mounts(layout):
        for place in places:
            if library.umount2(os.fsencode(place), _MNT_DETACH) != 0:
                raise DevClusterError(f"cannot unmount {place}: {os.strerror(ctypes.get_errno())}")


def _remove_tree(directory: Path) -> None:
    """Remove a directory, but never what is mounted in it: that may be a directory of the host."""
    for place in mounts(Layout(directory.name, directory.parent, directory.parent)):
        raise DevClusterError(f"{place} is still mounted")
    with suppress(FileNotFoundError):
        shutil.rmtree(directory)


def _remove_log_links(layout: Layout) -> None:
    with suppress(FileNotFoundError):
        for link in list(CONTAINER_LOG_LINKS.iterdir()):
            if link.is_symlink() and layout.state in link.readlink().parents:
                link.unlink()
        with suppress(OSError):
            CONTAINER_LOG_LINKS.rmdir()


def _remove_cni_results(layout: Layout) -> None:
    with suppress(FileNotFoundError):
        for file in list(CNI_RESULTS.iterdir()):
            with suppress(OSError, ValueError):
                if json.loads(file.read_text()).get("networkName") == layout.pod_network:
                    file.unlink()
        for directory in (CNI_RESULTS, CNI_RESULTS.parent):
            with suppress(OSError):
                directory.rmdir()
