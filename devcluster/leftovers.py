"""Undoing everything that a cluster made, whatever became of the commands that made it."""

import shutil
from collections.abc import Mapping
from contextlib import suppress

from devcluster import locks, mounts, network, processes
from devcluster.cgroups import Cgroup
from devcluster.errors import DevClusterError
from devcluster.layout import Addresses, Layout
from devcluster.processes import Process


def clear(layout: Layout, addresses: Addresses | None, recorded: Mapping[str, Process]) -> None:
    """End every process of the cluster and remove all that is left of it; nothing may be left is fine too.

    The order matters: processes hold mounts and namespaces, and mounts hold directories.
    """
    # These are in the cgroup too, except for one that was started in this moment.
    for process in recorded.values():
        processes.stop(process)
    Cgroup.of_this_machine(layout.cgroup).kill()
    mounts.delete(layout)
    network.delete(layout, addresses)
    Cgroup.of_this_machine(layout.cgroup).remove()
    if left := mounts.below(layout):
        # Never removed with what is in it: that may be a directory of the host.
        raise DevClusterError(f"{left[0]} is still mounted")
    for directory in (layout.run, layout.state):
        with suppress(FileNotFoundError):
            shutil.rmtree(directory)
    with locks.exclusive(layout.slots_lock, lambda: None):
        with suppress(OSError):
            layout.state_root.rmdir()
        if not layout.state_root.exists():
            mounts.remove_fixed()
