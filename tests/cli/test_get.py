"""``get`` saves what arrived whole, says what did not, and writes nowhere else."""

from pathlib import Path

import pytest

from tests.cli.fakecluster import PODS, FakeCluster
from tests.cli.scene import Person, a_run, a_running_pod, a_target
from tests.report.test_frames import framed


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results go below the current directory."""
    monkeypatch.chdir(tmp_path)


def log(files: dict[str, bytes]) -> bytes:
    """Is a tool's log with these files at its end."""
    return b"\n".join([b"Sampling...", *framed(files), b""])


def test_files_are_saved_by_pod_and_checked(cluster: FakeCluster, person: Person, tmp_path: Path) -> None:
    """One line a file, and where they are."""
    a_run(cluster, "k7", a_target("shop-1"), a_target("shop-2"))
    cluster.logs = {"shop-1": log({"profile.folded": b"x" * 49152}), "shop-2": log({"a/b.txt": b"\x00\xff"})}
    ran = person("get", "k7")
    assert ran == (
        0,
        "shop-1/profile.folded  48 KiB  sha256 ok\nshop-2/a/b.txt         2 B     sha256 ok\nsaved under k7/\n",
        "",
    )
    assert (tmp_path / "k7/shop-1/profile.folded").read_bytes() == b"x" * 49152
    assert (tmp_path / "k7/shop-2/a/b.txt").read_bytes() == b"\x00\xff"


def test_a_directory_can_be_named(cluster: FakeCluster, person: Person, tmp_path: Path) -> None:
    """It is made."""
    a_run(cluster, "k7", a_target("shop-1"))
    cluster.logs["shop-1"] = log({"a": b"1"})
    assert person("get", "k7", "-d", "deep/er").out.endswith("saved under deep/er/\n")
    assert (tmp_path / "deep/er/shop-1/a").exists()


def test_one_pod_can_be_chosen(cluster: FakeCluster, person: Person, tmp_path: Path) -> None:
    """A pod that the run does not have is wrong usage, with those that it has."""
    a_run(cluster, "k7", a_target("shop-1"), a_target("shop-2"))
    cluster.logs["shop-1"] = log({"a": b"1"})
    assert person("get", "k7", "--pod", "shop-1").status == 0
    ran = person("get", "k7", "--pod", "shop-9")
    assert (ran.status, ran.err) == (2, "error: k7 has no pod shop-9\n  its pods: shop-1, shop-2\n")


def test_other_content_is_kept_unless_forced(cluster: FakeCluster, person: Person, tmp_path: Path) -> None:
    """The same content again is no trouble; another one is not overwritten silently."""
    a_run(cluster, "k7", a_target("shop-1"))
    cluster.logs["shop-1"] = log({"a": b"1"})
    person("get", "k7")
    assert "sha256 ok, there already" in person("get", "k7").out
    (tmp_path / "k7/shop-1/a").write_text("mine")
    ran = person("get", "k7")
    assert ran.status == 1
    assert "k7/shop-1/a has other content and is kept (--force replaces it)" in ran.err
    assert (tmp_path / "k7/shop-1/a").read_text() == "mine"
    assert person("get", "k7", "--force").status == 0
    assert (tmp_path / "k7/shop-1/a").read_bytes() == b"1"


def test_a_part_is_exit_status_3(cluster: FakeCluster, person: Person) -> None:
    """With what is missing, and why."""
    a_run(
        cluster,
        "k7",
        a_target("shop-1"),
        a_target("shop-2", state="Refused", message="the pod has no container app"),
        a_target("shop-3"),
        a_target("shop-4", state="Injected"),
    )
    cluster.logs["shop-1"] = log({"a": b"1"})
    ran = person("get", "k7")
    assert ran.status == 3
    assert ran.err.splitlines() == [
        "error: missing: shop-2: no tool ran: the pod has no container app",
        "error: missing: shop-3: the pod is gone, and its log with it",
        "error: missing: shop-4: its tool has not started yet",
    ]


def test_content_that_was_changed_on_its_way_is_not_saved(cluster: FakeCluster, person: Person, tmp_path: Path) -> None:
    """Neither against the log's own sha256 nor against the status'."""
    artifacts = [
        {"pod": "shop-1", "name": "a", "sha256": "0" * 64},
        {"pod": "shop-1", "name": "lost"},
    ]
    a_run(cluster, "k7", a_target("shop-1"), artifacts=artifacts)
    cluster.logs["shop-1"] = log({"a": b"1", "b": b"22"}).replace(b"MjI=", b"MjM=")
    ran = person("get", "k7")
    assert ran.status == 1
    assert sorted(ran.err.splitlines()) == [
        "error: missing: shop-1: a: its sha256 is not the one that the run's status tells",
        "error: missing: shop-1: b: its sha256 is not the one that was announced",
        "error: missing: shop-1: lost: it is not in the log any more",
    ]
    assert not (tmp_path / "k7").exists()


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "a/../../evil", ".."])
def test_no_name_leads_out_of_the_directory(cluster: FakeCluster, person: Person, tmp_path: Path, name: str) -> None:
    """A compromised pod chooses its names; nothing is written outside."""
    a_run(cluster, "k7", a_target("shop-1"))
    cluster.logs["shop-1"] = log({name: b"evil", "good": b"1"})
    before = set(tmp_path.parent.rglob("*"))
    assert person("get", "k7").status == 3
    new = set(tmp_path.parent.rglob("*")) - before
    assert new == {tmp_path / "k7", tmp_path / "k7/shop-1", tmp_path / "k7/shop-1/good"}


def test_the_name_of_a_pod_leads_nowhere_either(cluster: FakeCluster, person: Person, tmp_path: Path) -> None:
    """Whoever could write the status could else write files."""
    a_run(cluster, "k7", a_target("../x"))
    assert "'../x' is no name of a pod" in person("get", "k7").err


def test_a_pod_of_the_same_name_is_another_pod(cluster: FakeCluster, person: Person) -> None:
    """A StatefulSet's next pod does not answer for the last one."""
    a_run(cluster, "k7", a_target("shop-1", podUID="the-old-one"))
    cluster.logs["shop-1"] = log({"a": b"1"})
    ran = person("get", "k7")
    assert ran.err == "error: missing: shop-1: the pod was replaced by another of this name; its log is gone\n"


def test_a_tool_without_files_leaves_its_log(cluster: FakeCluster, person: Person, tmp_path: Path) -> None:
    """Saved as it was printed; a tool that printed nothing leaves nothing."""
    a_run(cluster, "k7", a_target("shop-1"), a_target("shop-2"))
    cluster.logs = {"shop-1": b"one\n\ntwo\n", "shop-2": b""}
    ran = person("get", "k7")
    assert ran.status == 3
    assert ran.out.startswith("shop-1/log.txt  9 B  the log, no files\n")
    assert (tmp_path / "k7/shop-1/log.txt").read_bytes() == b"one\n\ntwo\n"
    assert ran.err == "error: missing: shop-2: its tool printed nothing\n"


def test_a_tool_that_still_runs_has_no_files_yet(cluster: FakeCluster, person: Person) -> None:
    """What it printed so far is saved, and that files come later is said."""
    a_run(cluster, "k7", a_target("shop-1", state="Running"), phase="Running")
    cluster.logs["shop-1"] = b"so far\n"
    ran = person("get", "k7")
    assert ran.status == 3
    assert "its tool still runs; files come at its end" in ran.err


def test_a_run_without_targets_has_no_results(cluster: FakeCluster, person: Person) -> None:
    """And says why, as its status does."""
    a_run(cluster, "k7", phase="Failed", lastError="Privileged containers are not allowed")
    assert person("get", "k7").err == "error: k7 has no results: Failed: Privileged containers are not allowed\n"


def test_logs_that_may_not_be_read_are_one_error(cluster: FakeCluster, person: Person) -> None:
    """The right to ask for, once and not for every pod."""
    a_run(cluster, "k7", a_target("shop-1"), a_target("shop-2"))
    right = 'User "alice" cannot get resource "pods/log" in API group "" in the namespace "shop"'
    message = f'pods "shop-1" is forbidden: {right}'
    cluster.answers["GET", f"{PODS}/shop-1/log"] = (403, {"message": message})
    ran = person("get", "k7")
    assert ran.err.splitlines() == [
        "error: alice may not get pods/log in namespace shop",
        "  ask for: verb get on pods/log in namespace shop",
    ]


def test_logs_can_be_had_without_the_right_to_see_pods(cluster: FakeCluster, person: Person) -> None:
    """Then nobody knows whether the pod is the same, and the sha256 decides."""
    a_run(cluster, "k7", a_target("shop-1"))
    cluster.put(f"{PODS}/shop-1", a_running_pod("shop-1"))
    cluster.logs["shop-1"] = log({"a": b"1"})
    cluster.forbidden.add(("get", "pods"))
    assert person("get", "k7").status == 0


def test_a_run_that_is_not_there_is_told(person: Person) -> None:
    """Exit status 2 and where the runs are listed."""
    ran = person("get", "nope")
    assert ran.status == 2
    assert ran.err.startswith("error: there is no run nope\n  `kubectl get powertools` lists the runs")


def test_a_name_that_no_object_can_have_is_wrong_usage(person: Person) -> None:
    """It is not sent to the server as a path."""
    assert person("get", "../secrets").status == 2
