"""The command line: data on stdout, the rest on stderr, and an exit code."""

from pathlib import Path

import pytest

from devcluster import __main__ as commands
from devcluster.components import Settings


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOE_KUBERNETES_VERSION", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


def test_a_missing_cluster_is_told_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """`kubeconfig` prints a path or nothing, so that $(make -s kubeconfig) never is a message."""
    assert commands.main(["--name=no-such-cluster", "kubeconfig"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "devcluster: there is no cluster no-such-cluster\nStart it with: make cluster\n"


def test_status_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Not ready is exit code 1, and no error."""
    assert commands.main(["--name=no-such-cluster", "status"]) == 1
    assert capsys.readouterr().out == "no-such-cluster: there is no such cluster\n"


def test_status_names_every_component() -> None:
    """Those that do not run, too."""
    settings = Settings("v1.36.3", emulated_version="1.33")
    pids = {"etcd": 12, "kube-apiserver": None}
    text = commands._described(commands.Status("toe", settings, "https://x", is_ready=False, pids=pids))
    assert text.splitlines() == [
        "toe: not ready, Kubernetes v1.36.3 as 1.33, https://x",
        "  etcd                     process 12",
        "  kube-apiserver           not running",
    ]


def test_the_version_is_one_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From the environment, and an argument wins over it; so does the place of the cache."""
    monkeypatch.setenv("TOE_KUBERNETES_VERSION", "v1.35.4")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert str(commands.cluster_here()._binaries.path("kubelet")).startswith(
        f"{tmp_path}/toe/binaries/kubernetes-v1.35.4-"
    )
    assert "v1.34.3" in str(commands.cluster_here(kubernetes_version="v1.34.3")._binaries.path("kubelet"))


def test_a_bad_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """One line and a hint, no traceback."""
    assert commands.main(["--kubernetes-version=1.35", "build"]) == 1
    assert capsys.readouterr().err == "devcluster: '1.35' is no version of Kubernetes\nSuch as v1.36.3.\n"
