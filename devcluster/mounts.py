"""The mount namespace of a cluster's node: what is mounted for pods is not in the host's table, and ends with it."""

import ctypes
import os
import subprocess
from contextlib import suppress
from pathlib import Path

from devcluster.errors import DevClusterError
from devcluster.layout import Layout

# Directories whose names are fixed in the kubelet and in the CNI library. The node sees directories of its own there:
# so two nodes, or one and the machine's own kubelet, do not take each other's sockets away.
FIXED = (Path("/var/lib/kubelet"), Path("/var/log/containers"), Path("/var/lib/cni"))

# Slave: the node sees what the host mounts later. Shared: pods may ask to see what is mounted later, too.
_SET_UP = """\
mount --make-rshared /
while [ $# -gt 0 ]; do mount --bind "$1" "$2"; shift 2; done
"""

_MNT_DETACH = 2


def create(layout: Layout) -> None:
    """Make the namespace and what is mounted in it."""
    pairs = []
    for place in FIXED:
        own = layout.state / "fixed" / place.name
        own.mkdir(parents=True, exist_ok=True)
        place.mkdir(parents=True, exist_ok=True)
        pairs += [str(own), str(place)]
    holder = layout.mount_namespace_file.parent
    holder.mkdir(parents=True, exist_ok=True)
    # The kernel keeps a mount namespace by a file only where mounts do not spread.
    _run("mount", "--bind", str(holder), str(holder))
    _run("mount", "--make-private", str(holder))
    layout.mount_namespace_file.touch()
    enter = ["unshare", f"--mount={layout.mount_namespace_file}", "--propagation=slave"]
    _run(*enter, "--", "sh", "-ec", _SET_UP, "sh", *pairs)


def is_complete(layout: Layout) -> bool:
    """Whether the namespace is there with all that belongs into it."""
    if layout.mount_namespace_file not in below(layout):
        return False
    seen = _run("nsenter", f"--mount={layout.mount_namespace_file}", "--", "cat", "/proc/self/mountinfo")
    return {str(place) for place in FIXED} <= {line.split()[4] for line in seen.splitlines()}


def below(layout: Layout, mountinfo: str | None = None) -> list[Path]:
    """What the host has mounted in the cluster's directories, the latest first."""
    found = []
    for line in (mountinfo or Path("/proc/self/mountinfo").read_text()).splitlines():
        # Spaces and the like are written as \040: see proc_pid_mountinfo(5).
        place = Path(line.split()[4].encode().decode("unicode_escape"))
        if any(directory in (place, *place.parents) for directory in (layout.state, layout.run)):
            found.append(place)
    return found[::-1]


def delete(layout: Layout) -> None:
    """Unmount all of them: with its last process and its file the namespace ends, and all that is mounted in it."""
    library = ctypes.CDLL(None, use_errno=True)
    # One place may be mounted on several times.
    while places := below(layout):
        for place in places:
            if library.umount2(os.fsencode(place), _MNT_DETACH) != 0:
                raise DevClusterError(f"cannot unmount {place}: {os.strerror(ctypes.get_errno())}")


def remove_fixed() -> None:
    """Remove the fixed directories where they are empty. Only for the last cluster of the machine:

    to remove a directory also unmounts what another namespace has mounted on it.
    """
    for place in FIXED:
        with suppress(OSError):
            place.rmdir()


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except FileNotFoundError as error:
        raise DevClusterError(f"the program {command[0]} is missing") from error
    except subprocess.CalledProcessError as error:
        raise DevClusterError(f"cannot make the node's mount namespace: {error.stderr.strip()}") from error
    return done.stdout
