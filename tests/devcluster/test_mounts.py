"""What is mounted in a cluster's directories is found, and nothing else is."""

from pathlib import Path

from devcluster import mounts
from devcluster.layout import Layout

MOUNTS = """\
1 0 0:1 / / rw - ext4 /dev/a rw
2 1 0:2 / /run/toe-devcluster/toe/namespaces rw - ext4 /dev/a rw
3 2 0:4 mnt:[1] /run/toe-devcluster/toe/namespaces/mount rw - nsfs nsfs rw
4 1 0:2 / /var/lib/toe-devcluster/toe/with\\040space rw - tmpfs tmpfs rw
5 1 0:2 / /run/toe-devcluster/toe-2/namespaces rw - ext4 /dev/a rw
6 1 0:2 / /mnt/run/toe-devcluster/toe/x rw - ext4 /dev/a rw"""


def test_only_our_own_mounts_are_found() -> None:
    """The latest first, so that each can be unmounted; not those of a cluster whose name begins like ours."""
    assert mounts.below(Layout("toe"), MOUNTS) == [
        Path("/var/lib/toe-devcluster/toe/with space"),
        Path("/run/toe-devcluster/toe/namespaces/mount"),
        Path("/run/toe-devcluster/toe/namespaces"),
    ]
    assert mounts.below(Layout("other"), MOUNTS) == []
