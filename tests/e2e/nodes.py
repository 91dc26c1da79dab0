"""A node of a test's own, with toe's image on it: the fence there refuses what other tests do as administrators."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from devcluster import Cluster
from devcluster.__main__ import cluster_here
from tests.conftest import _unused
from tools import images


@contextmanager
def node_for_the_operator(name: str) -> Iterator[tuple[Cluster, str]]:
    """Is the cluster, up inside of the block, and the reference of toe's image, which nothing is installed from yet."""
    if os.geteuid() != 0:
        pytest.skip("a cluster needs root")
    with _unused(name) as free:
        cluster = cluster_here(free)
        cluster.down()
        with cluster:
            for image in ("strace", "shop"):
                cluster.load(images.build(image))
            _, operator = cluster.load(images.build("operator"))
            yield cluster, operator
