"""``kubectl toe get`` of files that the collector keeps."""

import hashlib
import random
from pathlib import Path
from typing import Any

import pytest

from tests.cli.fakecluster import RUNS, FakeCluster
from tests.cli.scene import Person, Ran, a_run, a_target

CONTENT = random.Random(7).randbytes(300_000)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _kept_run(cluster: FakeCluster, *targets: dict[str, Any], **status: Any) -> None:
    """Puts a run in the mode collector into the cluster."""
    path = a_run(cluster, "k7", *(targets or (a_target("shop-1"),)), **status)
    cluster.put(
        path, {**cluster.objects[path], "spec": {**cluster.objects[path]["spec"], "output": {"mode": "collector"}}}
    )


def _told(pod: str, name: str, content: bytes) -> dict[str, Any]:
    return {"pod": pod, "name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_the_files_of_all_pods_are_saved(cluster: FakeCluster, person: Person, tmp_path: Path) -> None:
    """Below the run's name, or where -o says."""
    _kept_run(cluster, a_target("shop-1"), a_target("shop-2"), artifacts=[_told("shop-1", "profile.folded", CONTENT)])
    cluster.keep("k7", "shop-1", "profile.folded", CONTENT)
    cluster.keep("k7", "shop-2", "deep/er/core", b"core")
    ran = person("get", "k7")
    assert ran == Ran(
        0,
        "shop-1/profile.folded  293 KiB  sha256 ok\nshop-2/deep/er/core    4 B      sha256 ok\nsaved under k7/\n",
        "",
    )
    assert (tmp_path / "k7/shop-1/profile.folded").read_bytes() == CONTENT
    for option in ("-o", "--output", "-d", "--directory"):
        assert person("get", "k7", option, f"out{option}", "--pod", "shop-2").status == 0
        assert (tmp_path / f"out{option}/shop-2/deep/er/core").read_bytes() == b"core"


def test_what_is_there_is_not_fetched_again(cluster: FakeCluster, person: Person, tmp_path: Path) -> None:
    """And what is there with other content stays, unless it is forced."""
    _kept_run(cluster)
    cluster.keep("k7", "shop-1", "a", b"1")
    assert person("get", "k7").status == 0
    cluster.requests.clear()
    assert "sha256 ok, there already" in person("get", "k7").out
    assert not [path for _, path, _ in cluster.requests if path.endswith("/content")]
    (tmp_path / "k7/shop-1/a").write_text("mine")
    ran = person("get", "k7")
    assert (ran.status, "k7/shop-1/a has other content and is kept (--force replaces it)" in ran.err) == (1, True)
    assert person("get", "k7", "--force").status == 0
    assert (tmp_path / "k7/shop-1/a").read_bytes() == b"1"


def test_a_hash_that_the_run_does_not_tell_is_refused(cluster: FakeCluster, person: Person, tmp_path: Path) -> None:
    """Whoever could change the store could change its records as well."""
    _kept_run(cluster, artifacts=[_told("shop-1", "a", b"what the tool made")])
    cluster.keep("k7", "shop-1", "a", b"something else")
    ran = person("get", "k7")
    assert ran.err == "error: missing: shop-1/a: its sha256 is not the one that the run's status tells\n"
    assert not (tmp_path / "k7").exists()


def test_content_that_is_not_what_was_recorded_is_refused(cluster: FakeCluster, person: Person) -> None:
    """Nothing of it stays."""
    _kept_run(cluster)
    name = cluster.keep("k7", "shop-1", "a", b"good")
    assert cluster.kept is not None
    cluster.kept[name] = b"evil"
    ran = person("get", "k7")
    assert ran.err == "error: missing: shop-1/a: its sha256 is not the one that was recorded\n"
    assert [path for path in Path("k7").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("file", ["../x", "/etc/x", "a/../../x", "a\nb", "C:\\x", ".", ""])
def test_a_hostile_name_becomes_no_file(cluster: FakeCluster, person: Person, tmp_path: Path, file: str) -> None:
    """Names come from tools in pods: data, never paths."""
    _kept_run(cluster)
    cluster.keep("k7", "shop-1", file, b"evil")
    assert person("get", "k7").status == 1
    assert {path.name for path in tmp_path.iterdir() if path.name != "kubeconfig"} <= {"k7"}
    assert [path for path in Path("k7").rglob("*") if path.is_file()] == []


def test_the_files_of_another_run_of_that_name_are_not_its(cluster: FakeCluster, person: Person) -> None:
    """The UID tells them apart."""
    _kept_run(cluster)
    cluster.keep("k7", "shop-1", "a", b"1", uid="an-older-one")
    assert person("get", "k7").err == "error: missing: shop-1: no file is kept of it\n"


def test_a_deleted_run_leaves_its_files(cluster: FakeCluster, person: Person) -> None:
    """They can be had until their time is over."""
    cluster.keep("k7", "shop-1", "a", b"1")
    ran = person("get", "k7")
    assert (ran.status, ran.err) == (0, "the run k7 was deleted; its files are kept\n")
    ran = person("get", "k8")
    assert (ran.status, ran.err.splitlines()[0]) == (2, "error: there is no run k8, and no file of it is kept")


def test_what_is_missing_is_told(cluster: FakeCluster, person: Person) -> None:
    """One line for each thing that a person would look for in vain."""
    cluster.kept = {}
    _kept_run(
        cluster,
        a_target("p1", state="Running"),
        a_target("p2", state="Refused", message="no container app"),
        a_target("p3", state="Failed", message="ArtifactTooLarge: 2 GiB"),
        a_target("p4", state="Injected"),
        a_target("p5"),
        a_target("p6"),
        artifacts=[_told("p5", "old", b"1")],
    )
    ran = person("get", "k7")
    assert ran.status == 1
    assert ran.err.splitlines() == [
        "error: missing: p5/old: it is not kept any more",
        "error: missing: p1: its tool still runs; more files may come",
        "error: missing: p2: no tool ran: no container app",
        "error: missing: p3: no file is kept of it: ArtifactTooLarge: 2 GiB",
        "error: missing: p4: its tool has not started yet",
        "error: missing: p6: no file is kept of it",
    ]


def test_a_missing_right_is_named_once(cluster: FakeCluster, person: Person) -> None:
    """As one asks an administrator for it."""
    _kept_run(cluster)
    cluster.keep("k7", "shop-1", "a", b"1")
    cluster.keep("k7", "shop-1", "b", b"1")
    cluster.forbidden.add(("get", "artifacts/content"))
    assert person("get", "k7").err.splitlines() == [
        "error: alice may not get artifacts/content in namespace shop",
        "  ask for: verb get on artifacts/content in namespace shop",
    ]


def test_one_that_goes_meanwhile_does_not_stop_the_others(cluster: FakeCluster, person: Person) -> None:
    """Exit status 3, and what to do."""
    _kept_run(cluster)
    gone = cluster.keep("k7", "shop-1", "a", b"1")
    cluster.keep("k7", "shop-1", "b", b"1")
    assert cluster.kept is not None
    del cluster.kept[gone]
    ran = person("get", "k7")
    assert ran.status == 3
    assert ran.err.startswith(f"error: missing: shop-1/a: there is no artifact {gone}")


def test_the_name_of_a_format_is_no_directory(cluster: FakeCluster, person: Person, tmp_path: Path) -> None:
    """-o means a format elsewhere; a directory of that name that is there may be meant."""
    _kept_run(cluster)
    cluster.keep("k7", "shop-1", "a", b"1")
    ran = person("get", "k7", "-o", "json")
    assert ran.status == 2
    assert ran.err.splitlines() == [
        "error: -o json is a format, and get saves files: -o names the directory",
        "  `kubectl toe artifacts k7 -o json` prints what is kept",
    ]
    (tmp_path / "json").mkdir()
    assert person("get", "k7", "-o", "json").status == 0


def test_two_calls_do_not_write_one_file(cluster: FakeCluster, person: Person, tmp_path: Path) -> None:
    """The second says so and changes nothing."""
    import fcntl

    _kept_run(cluster)
    cluster.keep("k7", "shop-1", "a", b"1")
    part = tmp_path / f"k7/shop-1/.{hashlib.sha256(b'1').hexdigest()[:32]}.part"
    part.parent.mkdir(parents=True)
    with part.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "cannot be saved" in person("get", "k7").err


def test_a_run_without_targets_has_no_results(cluster: FakeCluster, person: Person) -> None:
    """And says why, before anything is asked of the collector."""
    _kept_run(cluster)
    cluster.status(f"{RUNS}/k7", targets=[], phase="Failed", lastError="Privileged containers are not allowed")
    assert person("get", "k7").err == "error: k7 has no results: Failed: Privileged containers are not allowed\n"
