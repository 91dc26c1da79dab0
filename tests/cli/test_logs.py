"""``logs`` prints what the tools printed, and not the files that travel in the same log."""

import threading

from tests.cli.fakecluster import PODS, FakeCluster
from tests.cli.scene import Person, a_run, a_target
from tests.report.test_frames import framed

LOG = b"\n".join([b"one", b"", b"#toe-text #toe-x", *framed({"a": b"1" * 5000}), b"two", b""])


def _ended(cluster: FakeCluster, pod: str) -> None:
    """Lets the kubelet report that the tool in a pod has ended."""
    status = {"name": "toe-py-spy-0123456789", "state": {"terminated": {"exitCode": 0}}}
    cluster.status(f"{PODS}/{pod}", ephemeralContainerStatuses=[status])


def test_frames_are_left_out(cluster: FakeCluster, person: Person) -> None:
    """Blank lines and a tool's own lines that look like frames are not."""
    a_run(cluster, "k7", a_target("shop-1"))
    cluster.logs["shop-1"] = LOG
    assert person("logs", "k7") == (0, "one\n\n#toe-x\ntwo\n", "")


def test_following_prints_the_same(cluster: FakeCluster, person: Person) -> None:
    """Until the tool ends."""
    a_run(cluster, "k7", a_target("shop-1"))
    cluster.logs["shop-1"] = LOG
    assert person("logs", "k7", "-f") == (0, "one\n\n#toe-x\ntwo\n", "")


def test_several_pods_are_told_apart(cluster: FakeCluster, person: Person) -> None:
    """Their names stand before the lines, of the same width."""
    a_run(cluster, "k7", a_target("shop-1"), a_target("shop-22"))
    cluster.logs = {"shop-1": b"one\n", "shop-22": b"two\nhalf"}
    assert person("logs", "k7").out == "shop-1  | one\nshop-22 | two\nshop-22 | half\n"


def test_one_of_them_can_be_chosen(cluster: FakeCluster, person: Person) -> None:
    """By pod, or by the target's or the tool's container; without a prefix then."""
    a_run(cluster, "k7", a_target("shop-1"), a_target("shop-2", container="web"))
    cluster.logs = {"shop-1": b"one\n", "shop-2": b"two\n"}
    assert person("logs", "k7", "--pod", "shop-1").out == "one\n"
    assert person("logs", "k7", "-c", "web").out == "two\n"
    ran = person("logs", "k7", "--pod", "shop-9")
    assert (ran.status, ran.err) == (2, "error: k7 has no target shop-9\n  its targets: shop-1 (app), shop-2 (web)\n")


def test_a_tool_that_has_not_started_is_told(cluster: FakeCluster, person: Person) -> None:
    """With the flag that waits for it; exit status 3 beside one that has."""
    a_run(cluster, "k7", a_target("shop-1"), a_target("shop-2", state="Injected"), phase="Running")
    cluster.logs["shop-1"] = b"one\n"
    assert person("logs", "k7") == (
        3,
        "shop-1 | one\n",
        "error: shop-2: its tool has not started yet (-f waits for it)\n",
    )


def test_following_waits_for_a_tool_to_start(cluster: FakeCluster, person: Person) -> None:
    """The API server says 400 until then."""
    a_run(cluster, "k7", a_target("shop-1", state="Injected"), phase="Running")
    path = f"{PODS}/shop-1/log"
    cluster.answers["GET", path] = (400, {"message": 'container "toe" in pod "shop-1" is waiting to start'})

    def start() -> None:
        cluster.logs["shop-1"] = b"at last\n"
        del cluster.answers["GET", path]
        _ended(cluster, "shop-1")

    threading.Timer(0.5, start).start()
    assert person("logs", "k7", "-f") == (0, "at last\n", "")


def test_following_gives_up_when_the_run_is_over(cluster: FakeCluster, person: Person) -> None:
    """A tool that never started has no log."""
    a_run(cluster, "k7", a_target("shop-1", state="Failed"), phase="Failed")
    cluster.answers["GET", f"{PODS}/shop-1/log"] = (400, {"message": "is waiting to start: image"})
    ran = person("logs", "k7", "-f")
    assert ran == (1, "", "error: shop-1: its log cannot be read: is waiting to start: image\n")


def test_following_waits_for_the_targets_to_be_chosen(cluster: FakeCluster, person: Person) -> None:
    """A run that waits for its pods is waited for."""
    path = a_run(cluster, "k7", phase="Pending")
    cluster.logs["shop-1"] = b"one\n"
    _ended(cluster, "shop-1")
    threading.Timer(0.3, lambda: cluster.status(path, targets=[a_target("shop-1", state="Running")])).start()
    assert person("logs", "k7", "-f") == (0, "one\n", "k7 has not begun; waiting\n")


def test_a_run_without_targets_has_no_logs(cluster: FakeCluster, person: Person) -> None:
    """And says why."""
    a_run(cluster, "k7", phase="Failed", lastError="no")
    assert person("logs", "k7") == (1, "", "error: k7 has no logs: Failed: no\n")


def test_a_refused_target_has_no_log(cluster: FakeCluster, person: Person) -> None:
    """Following does not wait for it."""
    a_run(cluster, "k7", a_target("shop-1", state="Refused", message="the pod has no room"), phase="Failed")
    for words in (("logs", "k7"), ("logs", "k7", "-f")):
        assert person(*words) == (1, "", "error: shop-1: no tool ran: the pod has no room\n")


def test_a_pod_that_is_gone_took_its_log_with_it(cluster: FakeCluster, person: Person) -> None:
    """Told for each; a node that is gone is told apart."""
    a_run(cluster, "k7", a_target("shop-1"), a_target("shop-2"))
    cluster.answers["GET", f"{PODS}/shop-2/log"] = (404, {"message": 'pods "node-1" not found'})
    assert person("logs", "k7").err.splitlines() == [
        "error: shop-1: the pod is gone, and its log with it",
        "error: shop-2: its node node-1 is gone, and the log with it",
    ]
