"""The life of a run on a real node: all the ways in which it ends, and what may happen to it on the way."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count

import pytest

from devcluster import DevClusterError
from tests.cluster.program import Program
from tests.cluster.rest import Object, RefusedError, configs, is_finished, phase, pods, reason, runs, tools_in
from tests.e2e.conftest import BARE, PLAIN, PROBE, RESTRICTED, Node

pytestmark = [pytest.mark.node, pytest.mark.timeout(180)]

TARGET: Object = {
    "containers": [
        {
            "name": "app",
            "image": PROBE,
            "imagePullPolicy": "Never",
            "command": ["/probe", "target"],
            "securityContext": {"runAsUser": 1001, "runAsGroup": 1001, **RESTRICTED},
        }
    ]
}
"""A target that ends when it is asked to, and is restarted then."""

_numbers = count(1)


@pytest.fixture(scope="module")
async def place(node: Node, controller: Program) -> AsyncIterator[str]:
    """A namespace with the probe as a tool, in the ways that the tests need."""
    await asyncio.gather(
        node.tool("probe"),
        node.tool("pair", limits={"maxConcurrentPerPod": 2}),
        node.tool("no-binary", command=["/no-such-tool"]),
        node.tool("image-missing", image="localhost/toe/no-such-image:1"),
        node.tool("image-unreachable", image="localhost:1/no-such-image:1", imagePullPolicy="IfNotPresent"),
        node.tool("no-supervisor", image="localhost/toe/shop:dev"),
    )
    namespace = await node.namespace()
    yield namespace
    await node.rest.delete(f"/api/v1/namespaces/{namespace}")


@pytest.fixture
async def target(node: Node, place: str) -> str:
    """A pod of its own for one test; its name is also its label ``pod``."""
    return (await node.pod(place, f"target-{next(_numbers)}", TARGET))["metadata"]["name"]


LONG = {
    "image-missing": ("image-missing", ()),
    "image-unreachable": ("image-unreachable", ()),
    "no-supervisor": ("no-supervisor", ()),
    "stubborn": ("probe", ("stubborn",)),
}


@pytest.fixture(scope="module")
async def long_runs(node: Node, place: str) -> "dict[str, asyncio.Task[Object]]":
    """The runs that take their time, all at once, each in a pod of its own."""

    async def live(name: str, tool: str, words: tuple[str, ...]) -> Object:
        await node.pod(place, name, TARGET)
        await node.run(place, name, tool, {"pod": name}, *words, duration="2s")
        return await node.finished(place, name)

    return {name: asyncio.create_task(live(name, tool, words)) for name, (tool, words) in LONG.items()}


def the_target(run: Object) -> Object:
    """Is the one target of a run."""
    (target,) = run["status"]["targets"]
    return target


def cause(run: Object) -> tuple[str, str, int | None]:
    """Is the run's phase, the reason of its one target, and the tool's exit code."""
    target = the_target(run)
    return phase(run), target["reason"], target.get("exitCode")


# How a tool ends


async def test_a_tool_that_is_stopped_on_time_succeeded(node: Node, place: str, target: str) -> None:
    """It does not end by itself, it is told to at its duration, and that is a success."""
    await node.run(place, "on-time", "probe", {"pod": target}, "sleep", duration="2s")
    run = await node.finished(place, "on-time")
    assert cause(run) == ("Completed", "Completed", 0), run["status"]
    assert "stopped after its duration of 2s" in the_target(run)["message"]
    assert reason(run, "Finished") == ("Completed", "the target succeeded")


async def test_a_tool_that_fails_says_so(node: Node, place: str, target: str) -> None:
    """Exit code 3 is Failed, with the tool's own last words, and what it printed still leaves the pod."""
    await node.run(place, "three", "probe", {"pod": target}, "exit", "3")
    run = await node.finished(place, "three")
    assert cause(run) == ("Failed", "ToolFailed", 3), run["status"]
    assert "ending with 3" in the_target(run)["message"]
    assert reason(run, "Failed")[1].startswith(f"1 of 1 targets failed: {target}: ToolFailed: ")
    got = await node.outcome(run)
    assert got.files == {"stdout.txt": b"on stdout\n", "stderr.txt": b"ending with 3\n"}


async def test_words_arrive_as_they_were_written(node: Node, place: str, target: str) -> None:
    """Nothing is expanded on the way, neither by the kubelet nor by a shell."""
    text = "$(TOE_RUN) $$HOME `id` {output} \"'"
    await node.run(place, "words", "probe", {"pod": target}, "write", text)
    run = await node.finished(place, "words")
    assert cause(run) == ("Completed", "Completed", 0), run["status"]
    assert (await node.outcome(run)).files["said.txt"].decode() == text
    assert [file["name"] for file in run["status"]["artifacts"]] == ["said.txt"]


async def test_a_tool_that_ignores_its_stop_signal_is_killed(
    node: Node, place: str, long_runs: "dict[str, asyncio.Task[Object]]"
) -> None:
    """After the grace, and that is a failure: GraceExceeded."""
    run = await long_runs["stubborn"]
    assert cause(run) == ("Failed", "GraceExceeded", 137), run["status"]


async def test_a_command_that_the_image_lacks(node: Node, place: str, target: str) -> None:
    """ToolBinaryNotFound with 127, told by the supervisor."""
    await node.run(place, "no-binary", "no-binary", {"pod": target})
    run = await node.finished(place, "no-binary")
    assert cause(run) == ("Failed", "ToolBinaryNotFound", 127), run["status"]


@pytest.mark.parametrize(
    ("name", "why", "told"),
    [
        ("image-missing", "ImagePullFailed", "ErrImageNeverPull"),
        ("image-unreachable", "ImagePullFailed", "Pull"),
        ("no-supervisor", "ToolNotStarted", "/toe-run"),
    ],
)
async def test_a_tool_that_never_starts_fails(
    long_runs: "dict[str, asyncio.Task[Object]]", name: str, why: str, told: str
) -> None:
    """After its allowance, with what the kubelet says."""
    run = await long_runs[name]
    assert cause(run)[:2] == ("Failed", why), run["status"]
    assert told in the_target(run)["message"]


# What happens to its target


async def test_a_pod_that_is_deleted_ends_its_run(node: Node, place: str, target: str) -> None:
    """Failed with TargetDeleted, never Completed, though the tool may have ended well on its way out."""
    await node.run(place, "deleted", "probe", {"pod": target}, "sleep", duration="5m")
    await node.until(place, "deleted", is_running)
    await node.rest.delete(pods(place, target))
    run = await node.finished(place, "deleted")
    assert cause(run)[:2] == ("Failed", "TargetDeleted"), run["status"]


async def test_a_target_that_restarts_takes_the_tool_with_it(node: Node, place: str, target: str) -> None:
    """The tool dies with 137: reason TargetRestarted, never Completed."""
    await node.run(place, "restarted", "probe", {"pod": target}, "sleep", duration="5m")
    await node.until(place, "restarted", is_running)
    await end_target(node, place, target)
    run = await node.finished(place, "restarted")
    assert cause(run) == ("Failed", "TargetRestarted", 137), run["status"]
    # And the next run enters the new process.
    await node.rest.until(pods(place, target), has_restarted)
    await node.run(place, "after-restart", "probe", {"pod": target}, "sleep", duration="1s")
    assert cause(await node.finished(place, "after-restart")) == ("Completed", "Completed", 0)


async def test_a_shared_process_namespace_lets_the_tool_survive_a_restart(node: Node, place: str) -> None:
    """The pause process holds the namespace: the target restarts beside the tool, which ends on time."""
    await node.pod(place, "shared", {**TARGET, "shareProcessNamespace": True})
    await node.run(place, "survivor", "probe", {"pod": "shared"}, "sleep", duration="6s")
    await node.until(place, "survivor", is_running)
    await end_target(node, place, "shared")
    await node.rest.until(pods(place, "shared"), has_restarted)
    run = await node.finished(place, "survivor")
    assert cause(run) == ("Completed", "Completed", 0), run["status"]


def is_running(run: Object) -> bool:
    """Tells whether a tool of the run is running."""
    return phase(run) == "Running"


def has_restarted(pod: Object) -> bool:
    """Tells whether the container app runs, and not for the first time."""
    (status,) = pod["status"]["containerStatuses"]
    return status["restartCount"] > 0 and "running" in status["state"]


async def end_target(node: Node, namespace: str, pod: str) -> None:
    """Lets the container app end; the exec that asks for it may die with it."""
    try:
        await node.kubectl("exec", "-n", namespace, pod, "-c", "app", "--", "/probe", "end")
    except DevClusterError as error:
        assert "137" in error.message or "terminated" in error.message, error.message  # noqa: PT017 - may succeed


# What its user does


async def test_a_run_that_waits_is_canceled_at_once(node: Node, place: str, target: str) -> None:
    """No pod matches: canceled, it is Canceled, for good; nothing was injected, nothing will be."""
    await node.run(place, "hopeless", "probe", {"pod": "none-of-this-name"}, "sleep")
    await node.until(place, "hopeless", lambda run: reason(run, "Accepted")[0] == "NoMatchingPods")
    await node.rest.merge(runs(place, "hopeless"), {"spec": {"cancel": True}})
    run = await node.finished(place, "hopeless")
    assert (phase(run), reason(run, "Finished")[0]) == ("Canceled", "Canceled")
    with pytest.raises(RefusedError, match="a canceled run stays canceled"):
        await node.rest.merge(runs(place, "hopeless"), {"spec": {"cancel": False}})


async def test_a_cancel_stops_further_injection(node: Node, place: str, target: str) -> None:
    """A run that waits for a taken pod is Canceled, and the pod never gets its tool."""
    await node.run(place, "holder", "probe", {"pod": target}, "sleep", duration="4s")
    await node.until(place, "holder", is_running)
    await node.run(place, "canceled", "probe", {"pod": target}, "sleep")
    await node.until(place, "canceled", lambda run: phase(run) == "Conflicted")
    await node.rest.merge(runs(place, "canceled"), {"spec": {"cancel": True}})
    assert phase(await node.finished(place, "canceled")) == "Canceled"
    assert phase(await node.finished(place, "holder")) == "Completed"
    assert len(tools_in(await node.rest.get(pods(place, target)))) == 1


async def test_a_run_that_is_deleted_leaves_its_pod_to_its_tool(node: Node, place: str, target: str) -> None:
    """Deletion is immediate; the tool ends at its duration; until then the pod counts as taken, by its own word."""
    await node.run(place, "forgotten", "probe", {"pod": target}, "sleep", duration="5s")
    running = await node.until(place, "forgotten", is_running)
    await node.rest.delete(runs(place, "forgotten"))
    await node.rest.until_gone(runs(place, "forgotten"), seconds=5)
    await node.run(place, "next", "probe", {"pod": target}, "sleep", duration="1s")
    waiting = await node.until(place, "next", lambda run: phase(run) == "Conflicted")
    tool = the_target(running)["toolContainer"]
    assert reason(waiting, "Conflicted")[1] == f"Pod {target} is already being profiled by PowerTool {tool}"
    assert phase(await node.finished(place, "next")) == "Completed"
    assert len(tools_in(await node.rest.get(pods(place, target)))) == 2


# What others do


async def test_the_second_run_on_a_pod_waits_and_starts_by_itself(node: Node, place: str, target: str) -> None:
    """Conflicted with the exact message, then Completed without anybody's help, after the first one."""
    await node.run(place, "first", "probe", {"pod": target}, "sleep", duration="3s")
    await node.until(place, "first", is_running)
    await node.run(place, "second", "probe", {"pod": target}, "sleep", duration="1s")
    waiting = await node.until(place, "second", lambda run: phase(run) == "Conflicted")
    told = ("ConflictDetected", f"Pod {target} is already being profiled by PowerTool first")
    assert (reason(waiting, "Conflicted"), reason(waiting, "Accepted")) == (told, told)
    first, second = await asyncio.gather(node.finished(place, "first"), node.finished(place, "second"))
    assert (phase(first), phase(second)) == ("Completed", "Completed")
    assert the_target(second)["startedAt"] >= the_target(first)["finishedAt"]
    assert reason(second, "Conflicted")[0] == "ConflictResolved"


async def test_two_share_a_pod_where_both_accept_that(node: Node, place: str, target: str) -> None:
    """maxConcurrentPerPod 2: two run at the same time, a third one waits, and so does one whose own limit is 1."""
    for name, tool in (("one", "pair"), ("two", "pair")):
        await node.run(place, name, tool, {"pod": target}, "sleep", duration="4s")
        await node.until(place, name, is_running)
    for name, tool in (("three-of-two", "pair"), ("alone", "probe")):
        await node.run(place, name, tool, {"pod": target}, "sleep", duration="1s")
        await node.until(place, name, lambda run: phase(run) == "Conflicted")
    done = {name: await node.finished(place, name) for name in ("one", "two", "three-of-two", "alone")}
    assert {phase(run) for run in done.values()} == {"Completed"}
    assert the_target(done["two"])["startedAt"] < the_target(done["one"])["finishedAt"]
    alone = the_target(done["alone"])
    for other in (the_target(done[name]) for name in ("one", "two", "three-of-two")):
        assert alone["startedAt"] >= other["finishedAt"] or alone["finishedAt"] <= other["startedAt"]


async def test_everything_may_come_in_any_order(node: Node, place: str) -> None:
    """First the run, then the config, then the pod: it waits with the reason, and starts when it can."""
    await node.run(place, "early", "comes-later", {"pod": "late-pod"}, "sleep", duration="1s")
    waiting = await node.until(place, "early", lambda run: reason(run, "Accepted")[0] == "ToolNotFound")
    assert phase(waiting) == "Pending"
    assert reason(waiting, "Accepted")[1].startswith("PowerToolConfig not found for tool: comes-later")
    await node.tool("comes-later")
    await node.until(place, "early", lambda run: reason(run, "Accepted")[0] == "NoMatchingPods")
    await node.pod(place, "late-pod", TARGET)
    run = await node.finished(place, "early")
    assert cause(run) == ("Completed", "Completed", 0), run["status"]
    await node.rest.delete(configs("comes-later"))


async def test_pods_that_come_later_are_not_touched(node: Node, place: str) -> None:
    """Targets are frozen once: a pod with the same labels that starts meanwhile gets no tool."""
    await node.pod(place, "there", TARGET, app="web")
    await node.run(place, "frozen", "probe", {"app": "web"}, "sleep", duration="6s")
    await node.until(place, "frozen", is_running)
    await node.pod(place, "later", TARGET, app="web")
    seen = await node.rest.get(runs(place, "frozen"))
    assert not is_finished(seen)
    run = await node.finished(place, "frozen")
    assert [target["pod"] for target in run["status"]["targets"]] == ["there"]
    assert tools_in(await node.rest.get(pods(place, "later"))) == []


async def test_one_bad_target_of_two_fails_the_run_and_spares_the_other(node: Node, place: str) -> None:
    """A pod that lacks the container that the run names is Refused; the other one's tool does its work."""
    other = {"containers": [{**TARGET["containers"][0], "name": "other"}]}
    await asyncio.gather(
        node.pod(place, "mixed-a", TARGET, app="mixed"), node.pod(place, "mixed-b", {**BARE, **other}, app="mixed")
    )
    await node.run(place, "mixed", "probe", {"app": "mixed"}, "sleep", duration="1s", container="app")
    run = await node.finished(place, "mixed")
    assert [(t["pod"], t["state"], t["reason"]) for t in run["status"]["targets"]] == [
        ("mixed-a", "Succeeded", "Completed"),
        ("mixed-b", "Refused", "ContainerNotFound"),
    ]
    assert reason(run, "Failed")[1].startswith("1 of 2 targets failed: mixed-b: ContainerNotFound: ")


async def test_pod_security_refuses_a_tool_with_capabilities(node: Node, controller: Program) -> None:
    """In a restricted namespace tcpdump is refused by the API server, which is the run's reason, and final."""
    namespace = await node.namespace("restricted")
    await node.pod(namespace, "plain", PLAIN)
    await node.run(namespace, "capture", "tcpdump", {"pod": "plain"})
    run = await node.finished(namespace, "capture")
    assert (phase(run), the_target(run)["state"], the_target(run)["reason"]) == (
        "Failed",
        "Refused",
        "PodSecurityForbids",
    )
    assert "NET_RAW" in the_target(run)["message"]
    assert tools_in(await node.rest.get(pods(namespace, "plain"))) == []
    await node.rest.delete(f"/api/v1/namespaces/{namespace}")
