"""What tests of all kinds share: real clusters, started when the first test asks for one."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path

import pytest

from devcluster import Cluster, binaries, images, locks
from devcluster.__main__ import cache_here, cluster_here
from devcluster.layout import RUN_ROOT

TESTPOD_IMAGE = "docker.io/local/testpod:1"


@pytest.fixture(scope="session")
def control_plane() -> Iterator[Cluster]:
    """A kube-apiserver with its etcd, and nothing else: no controllers, no node. Up in 3 s, the same for all tests.

    So that tests do not meet, each makes objects in a namespace of its own, or with names of its own.
    """
    with _session_cluster("toe-test-api", node=False) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def node_cluster() -> Iterator[Cluster]:
    """A whole Kubernetes with one node that runs pods. Up in 10 s, the same for all tests."""
    with _session_cluster("toe-test", node=True) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def testpod_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image archive with the small server of devcluster/testpod, named `TESTPOD_IMAGE`."""
    place = tmp_path_factory.mktemp("testpod")
    program, archive = place / "testpod", place / "testpod.tar"
    binaries.build_static(binaries.HERE / "testpod", program, cache_here(), print)
    images.write(archive, TESTPOD_IMAGE, {"/testpod": program}, ["/testpod"])
    return archive


@pytest.fixture(scope="session")
def testpod(node_cluster: Cluster, testpod_archive: Path) -> str:
    """The reference, pinned by its digest, of an image with a small server, loaded into `node_cluster`."""
    return node_cluster.load(testpod_archive)[1]


@contextmanager
def _session_cluster(base: str, *, node: bool) -> Iterator[Cluster]:
    """A fresh cluster that no other test run uses: a second run at the same time gets the next name."""
    if os.geteuid() != 0:
        pytest.skip("a cluster needs root")
    with _unused(base) as name:
        cluster = cluster_here(name, node=node)
        if missing := cluster.missing_programs():
            pytest.fail(f"not built yet: {', '.join(missing)}; type `python -m devcluster build`", pytrace=False)
        # What a killed test run left under this name.
        cluster.down()
        with cluster:
            yield cluster


@contextmanager
def _unused(base: str) -> Iterator[str]:
    for number in count(1):
        name = base if number == 1 else f"{base}-{number}"
        claim = _claim(name)
        try:
            claim.__enter__()
        except BlockingIOError:
            continue
        try:
            yield name
        finally:
            claim.__exit__(None, None, None)
        return


def _claim(name: str) -> AbstractContextManager[None]:
    def taken() -> None:
        raise BlockingIOError

    return locks.exclusive(RUN_ROOT / f"{name}.tests.lock", taken)
