"""``run`` creates, follows, and tells scripts by its exit status how it went."""

import json
import os
import signal
import threading

import pytest
import yaml

from tests.builders import when
from tests.cli.fakecluster import CONFIGS, PODS, RUNS, FakeCluster, Object
from tests.cli.scene import Person, a_target, a_tool

NAME = f"{RUNS}/py-spy-k7m2x"
RUN = ("run", "py-spy", "-l", "app=shop", "--for", "10s")


def finishing(cluster: FakeCluster, *stages: Object) -> None:
    """Lets the controller write these statuses, one after the other, once the run is created."""

    def write(path: str, obj: Object) -> None:
        if "status" in obj:
            return
        cluster.on_change = lambda *_: None
        threading.Thread(target=lambda: [cluster.status(path, **stage) for stage in stages], daemon=True).start()

    cluster.on_change = write


def status(*targets: Object, phase: str = "Running", **more: object) -> Object:
    """Is a status with these targets, finished unless the phase is Running."""
    over = [{"type": "Finished", "status": "True", "reason": phase, "message": "over"}] if phase != "Running" else []
    return {
        "phase": phase,
        "targets": list(targets),
        "selectedPods": len(targets),
        "completedPods": sum(target["state"] == "Succeeded" for target in targets),
        "startedAt": when(0),
        "finishedAt": when(12) if over else "",
        "conditions": over,
        "notAfter": when(600),
        **more,
    }


FILES = [{"pod": pod, "name": "profile.folded", "bytes": 49152} for pod in ("shop-1", "shop-2")]
BOTH = (a_target("shop-1"), a_target("shop-2"))
RUNNING = (a_target("shop-1", state="Running"), a_target("shop-2", state="Injected"))
FAILED = a_target("shop-2", state="Failed", reason="ToolFailed", message="exit code 1")


def test_a_run_is_created_followed_and_its_result_found(cluster: FakeCluster, person: Person) -> None:
    """The table on stdout, a line for each change; where the result is, on stderr."""
    finishing(cluster, status(*RUNNING), status(*BOTH, phase="Completed", artifacts=FILES, bytesWritten=98304))
    ran = person(*RUN)
    assert ran.status == 0
    lines = ran.out.splitlines()
    assert lines[0] == "powertool/py-spy-k7m2x created in shop: 2 pods"
    assert lines[1] == "POD     CONTAINER  STATE      DETAIL"
    assert lines[-3:] == [
        "shop-1  app        Succeeded  exit 0, profile.folded 48 KiB",
        "shop-2  app        Succeeded  exit 0, profile.folded 48 KiB",
        "Completed in 12 s, 2 of 2 pods.",
    ]
    assert ran.err == "  kubectl toe get py-spy-k7m2x    2 files, 96 KiB, kept in the pods' logs while the pods live\n"


def test_what_is_created_is_what_was_asked_for(cluster: FakeCluster, person: Person) -> None:
    """The cluster finds the name; every word arrives in its field, as it was typed."""
    cluster.put(f"{CONFIGS}/py-spy", a_tool("py-spy", arguments={"operands": {"max": 3, "pattern": ".+"}}))
    more = ("-c", "app", "--warmup", "2s", "--max-cpu", "50", "--wait=false", "--", "a b", "$(X)")
    assert person(*RUN, *more) == (0, "py-spy-k7m2x\n", "")
    made = cluster.objects[NAME]
    assert made["metadata"]["generateName"] == "py-spy-"
    assert made["spec"] == {
        "targets": {"labelSelector": {"matchLabels": {"app": "shop"}}, "container": "app"},
        "tool": {
            "name": "py-spy",
            "duration": "10s",
            "args": ["a b", "$(X)"],
            "warmup": "2s",
            "maxCPUPercent": 50,
        },
    }


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (status(*BOTH, phase="Completed"), 0),
        (status(FAILED, phase="Failed", lastError="1 of 1 targets failed"), 1),
        (status(a_target("shop-1"), FAILED, phase="Failed"), 3),
        (status(phase="Failed", lastError="no"), 2),
        (status(FAILED, phase="Canceled"), 130),
    ],
)
def test_the_exit_status_tells_how_it_went(cluster: FakeCluster, person: Person, end: Object, expected: int) -> None:
    """0 all, 1 none, 3 some, 2 refused by the controller, 130 cancelled by somebody."""
    finishing(cluster, end)
    assert person(*RUN).status == expected


def test_refused_arguments_create_nothing(cluster: FakeCluster, person: Person) -> None:
    """All of them are told with their fields, and once what is accepted."""
    ran = person(*RUN, "--", "-z", "reboot")
    assert ran.status == 2
    assert ran.err == (
        'error: py-spy does not accept "-z" here (spec.tool.args[0])\n'
        'error: "reboot" is no option of py-spy (spec.tool.args[1])\n'
        "  it accepts: --gil\n"
    )
    assert NAME not in cluster.objects


def test_a_misspelt_tool_creates_nothing(cluster: FakeCluster, person: Person) -> None:
    """The exact sentence, what was meant, and how to wait for it anyway."""
    ran = person("run", "pyspy", "-l", "app=shop")
    assert ran.status == 2
    assert ran.err == (
        "error: PowerToolConfig not found for tool: pyspy\n"
        "  did you mean py-spy? (kubectl toe tools)\n"
        "  nothing was created; with --pending the run waits for it, at most 5 minutes\n"
    )
    assert NAME not in cluster.objects


def test_a_selector_that_matches_nothing_creates_nothing(cluster: FakeCluster, person: Person) -> None:
    """Unless --pending says that pods are on their way."""
    assert "no running pod in shop matches app=shpo" in person("run", "py-spy", "-l", "app=shpo").err
    assert not [request for request in cluster.requests if request[:2] == ("POST", RUNS)]
    assert person("run", "py-spy", "-l", "app=shpo", "--pending", "--wait=false").status == 0


def test_what_the_schema_refuses_is_told_before_the_cluster_is_asked(cluster: FakeCluster, person: Person) -> None:
    """A duration that is none, a selector that requires nothing."""
    ran = person("run", "py-spy", "-l", "app!=shop", "--for", "soon")
    assert ran.status == 2
    assert "(spec.tool.duration)" in ran.err
    assert "(spec.targets.labelSelector)" in ran.err
    assert cluster.requests == []


def test_who_may_not_read_configs_may_still_run(cluster: FakeCluster, person: Person) -> None:
    """The controller judges anyway; here it is only told later."""
    cluster.forbidden.add(("list", "powertoolconfigs"))
    finishing(cluster, status(*BOTH, phase="Completed"))
    ran = person(*RUN)
    assert ran.status == 0
    assert ran.out.startswith("powertool/py-spy-k7m2x created in shop\n")


def test_a_privileged_tool_is_left_to_the_controller_where_labels_may_not_be_read(
    cluster: FakeCluster, person: Person
) -> None:
    """A fact that only the person lacks refuses nothing."""
    cluster.put(f"{CONFIGS}/py-spy", a_tool("py-spy", security={"allowPrivileged": True}))
    cluster.forbidden.add(("get", "namespaces"))
    assert person(*RUN, "--wait=false").status == 0


def test_what_pod_security_will_forbid_is_told_before(cluster: FakeCluster, person: Person) -> None:
    """As a warning: an exemption may be configured that nobody can read."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.put("/api/v1/namespaces/shop", {"metadata": {"labels": labels}})
    cluster.put(f"{CONFIGS}/py-spy", a_tool("py-spy", security={"runAsRoot": True}))
    ran = person(*RUN, "--wait=false")
    assert ran.status == 0
    assert ran.err == (
        "warning: the namespace enforces Pod Security restricted, py-spy needs baseline: "
        "the API server will forbid it\n"
    )


def test_a_name_that_is_taken_is_told(cluster: FakeCluster, person: Person) -> None:
    """With the way out: no name."""
    assert person(*RUN, "--name", "mine", "--wait=false") == (0, "mine\n", "")
    ran = person(*RUN, "--name", "mine")
    assert ran.status == 2
    assert ran.err.startswith("error: there is a run mine already in shop\n  choose another --name")


def test_programs_get_the_finished_run_whole(cluster: FakeCluster, person: Person) -> None:
    """Progress goes to stderr then, and stdout is one document, with fields that this program does not know."""
    for output, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        cluster.objects.pop(NAME, None)
        finishing(cluster, status(*BOTH, phase="Completed", fromTheFuture="kept"))
        ran = person(*RUN, "-o", output)
        assert read(ran.out)["status"]["fromTheFuture"] == "kept"
        assert "Completed in 12 s" in ran.err
    assert json.loads(person(*RUN, "--name", "b", "--wait=false", "-o", "json").out)["metadata"]["name"] == "b"


def test_what_it_waits_for_is_told_once(cluster: FakeCluster, person: Person) -> None:
    """In the controller's words."""
    waiting = [{"type": "Accepted", "status": "False", "reason": "ConflictDetected", "message": "Pod shop-1 is taken"}]
    finishing(
        cluster,
        {"phase": "Conflicted", "conditions": waiting},
        {"phase": "Conflicted", "conditions": waiting, "observedGeneration": 1},
        status(*BOTH, phase="Completed"),
    )
    assert person(*RUN).out.count("Conflicted: Pod shop-1 is taken\n") <= 1


def test_a_cut_watch_is_no_end(cluster: FakeCluster, person: Person) -> None:
    """The server restarts, the run goes on, and so does the table."""

    def write(path: str, obj: Object) -> None:
        cluster.on_change = lambda *_: None

        def later() -> None:
            cluster.cut_watches()
            cluster.status(path, **status(*RUNNING))
            cluster.cut_watches()
            cluster.status(path, **status(*BOTH, phase="Completed"))

        threading.Timer(0.3, later).start()

    cluster.on_change = write
    assert person(*RUN).status == 0


def test_a_run_that_is_deleted_is_told(cluster: FakeCluster, person: Person) -> None:
    """It is no traceback and no endless wait."""

    def write(path: str, obj: Object) -> None:
        def later() -> None:
            del cluster.objects[path]
            cluster.cut_watches()

        threading.Timer(0.2, later).start()

    cluster.on_change = write
    ran = person(*RUN)
    assert ran.status == 1
    assert "error: the run py-spy-k7m2x was deleted\n" in ran.err


def interrupting(cluster: FakeCluster, times: int, end: Object | None) -> None:
    """Presses Ctrl-C when the run runs; after the cancel the controller ends it, or a second Ctrl-C comes."""

    def write(path: str, obj: Object) -> None:
        if obj["spec"].get("cancel"):
            if end is not None:
                cluster.status(path, **end)
            if times > 1:
                threading.Timer(0.2, press).start()
        elif "status" not in obj:
            cluster.status(path, **status(*RUNNING))
            threading.Timer(0.3, press).start()

    cluster.on_change = write


def press() -> None:
    """Presses Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_cancels_the_run_and_waits_for_its_end(cluster: FakeCluster, person: Person) -> None:
    """Exit status 130, whatever became of the targets; what goes on running is told."""
    interrupting(cluster, 1, status(a_target("shop-1"), FAILED, phase="Canceled"))
    ran = person(*RUN)
    assert ran.status == 130
    assert cluster.objects[NAME]["spec"]["cancel"] is True
    assert "canceling py-spy-k7m2x; another Ctrl-C leaves at once\n" in ran.err
    assert ran.out.splitlines()[-1] == "Canceled in 12 s, 1 of 2 pods."


def test_a_second_ctrl_c_leaves_and_says_what_goes_on(cluster: FakeCluster, person: Person) -> None:
    """Which pods, until when, and how to see it."""
    interrupting(cluster, 2, None)
    ran = person(*RUN)
    assert ran.status == 130
    assert "error: py-spy-k7m2x is not finished: Running, 0 of 2 pods done\n" in ran.err
    assert "it ends at its duration, at the latest 12:10:00 UTC: shop-1, shop-2\n" in ran.err


def test_a_cancel_that_is_refused_is_told(cluster: FakeCluster, person: Person) -> None:
    """Who may create but not patch reads why, and the run is followed on."""
    cluster.forbidden.add(("patch", "powertools"))
    interrupting(cluster, 1, None)
    threading.Timer(1.5, lambda: cluster.status(NAME, **status(*BOTH, phase="Completed"))).start()
    ran = person(*RUN)
    assert "it could not be canceled: alice may not patch powertools in namespace shop" in ran.err
    assert ran.status == 130


def test_a_timeout_leaves_the_run_alone(cluster: FakeCluster, person: Person) -> None:
    """Exit status 1, how it stands, and how to stop it."""
    finishing(cluster, status(*RUNNING))
    ran = person(*RUN, "--timeout", "1s")
    assert ran.status == 1
    assert "cancel" not in cluster.objects[NAME]["spec"]
    assert "error: py-spy-k7m2x is not finished within the --timeout: Running, 0 of 2 pods done\n" in ran.err
    assert "  kubectl toe cancel py-spy-k7m2x -n shop stops what has not begun\n" in ran.err
    assert person(*RUN, "--timeout", "soon").status == 2


def test_pods_are_not_named_on_the_command_line(person: Person) -> None:
    """Words before ``--`` are not taken for the tool's arguments; where either goes is said."""
    ran = person("run", "py-spy", "shop-1", "-l", "app=shop")
    assert ran.status == 2
    assert "pods are chosen with -l; the tool's own arguments come after --" in ran.err


def test_pods_of_the_fixture_are_the_ones_counted(cluster: FakeCluster, person: Person) -> None:
    """Only running pods are."""
    cluster.objects[f"{PODS}/shop-2"]["status"]["phase"] = "Pending"
    finishing(cluster, status(a_target("shop-1"), phase="Completed"))
    assert person(*RUN).out.startswith("powertool/py-spy-k7m2x created in shop: 1 pod\n")
