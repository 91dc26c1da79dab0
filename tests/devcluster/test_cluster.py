"""What a cluster refuses, it refuses before it starts anything."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from devcluster import Cluster, DevClusterError

NOWHERE = "no-such-cluster"


def a_cluster(cache: Path) -> Cluster:
    return Cluster(NOWHERE, node=False, cache=cache, report=pytest.fail)


def test_only_root_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says why, and what to type."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for command in (a_cluster(tmp_path).up, a_cluster(tmp_path).down):
        with pytest.raises(DevClusterError, match="only root") as caught:
            command()
        assert "sudo" in caught.value.hint


def test_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the place, what it has and what is needed."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(2**40, 2**40, 2**30))
    with pytest.raises(DevClusterError, match=r"/var/lib\S* has 1\.0 GiB free, a cluster needs 2"):
        a_cluster(tmp_path).up()


def test_other_systems_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Namespaces are Linux's."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(DevClusterError, match="needs Linux"):
        a_cluster(tmp_path).up()


def test_a_cluster_that_is_not_there_says_so(tmp_path: Path) -> None:
    """Everything that needs it names it; its status is no error."""
    cluster = a_cluster(tmp_path)
    for ask in (lambda: cluster.server, lambda: cluster.apiserver_pid, lambda: cluster.load("x.tar")):
        with pytest.raises(DevClusterError, match=f"no cluster {NOWHERE}"):
            ask()
    status = cluster.status()
    assert status.settings is None
    assert not status.is_ready


def test_paths_are_known_before_it_runs(tmp_path: Path) -> None:
    """The path of the kubeconfig is the same each time."""
    assert a_cluster(tmp_path).kubeconfig == Path(f"/var/lib/toe-devcluster/{NOWHERE}/kubeconfig")
