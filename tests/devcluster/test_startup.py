"""How containerd stacks layers follows from the disk."""

from pathlib import Path

import pytest

from devcluster.startup import snapshotter

MOUNTS = """\
1 0 0:1 / / rw - overlay overlay rw
2 1 0:2 / /var rw - ext4 /dev/a rw
3 1 0:3 / /varnish rw - overlay overlay rw"""


@pytest.mark.parametrize(
    ("directory", "expected"),
    [("/var/lib/x", "overlayfs"), ("/opt/x", "native"), ("/varnish/x", "native"), ("/var", "overlayfs")],
)
def test_no_overlay_on_an_overlay(directory: str, expected: str) -> None:
    """In a container the root is an overlay already; the mount that counts is the deepest."""
    assert snapshotter(Path(directory), MOUNTS) == expected
