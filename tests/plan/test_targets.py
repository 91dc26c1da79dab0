"""Targets: frozen once, and where each of them stands."""

import json
from typing import Any

import msgspec
import pytest

from tests.builders import (
    DIGEST,
    SETTINGS,
    a_config,
    a_container_status,
    a_pod,
    a_powertool,
    a_request,
    at,
    merged,
    when,
    with_tool,
)
from toe.api.pod import Pod
from toe.api.powertool import Target
from toe.api.reasons import Reason
from toe.plan.container import ToolContainer, container_name, render
from toe.plan.targets import (
    find_container,
    find_status,
    freeze,
    is_ours,
    live_tools,
    next_deadline,
    observe,
)

RUN, CONFIG = a_powertool(), a_config()
NOT_AFTER = 640


def _tool(pod: Pod) -> ToolContainer:
    return render(RUN, CONFIG, pod, "app", at(NOT_AFTER), SETTINGS)


def _frozen(pod: Pod | None = None) -> Target:
    (target,) = freeze(a_request(RUN, CONFIG), [pod or a_pod()])
    return target


def _pod(**state: Any) -> Pod:
    pod = a_pod()
    return with_tool(pod, _tool(pod), **state)


def _seen(pod: Pod | None, seconds: float, target: Target | None = None) -> Target:
    return observe(target or _frozen(), pod, since=at(0), not_after=at(NOT_AFTER), now=at(seconds), settings=SETTINGS)


def _deadline(target: Target, pod: Pod | None = None) -> float | None:
    moment = next_deadline(target, pod, since=at(0), not_after=at(NOT_AFTER), settings=SETTINGS)
    return (moment - at(0)).total_seconds() if moment else None


def _ended(exit_code: int, *, finished: float = 20, **more: Any) -> dict[str, Any]:
    return {"terminated": {"exitCode": exit_code, "startedAt": when(2), "finishedAt": when(finished), **more}}


def test_targets_are_frozen_by_name_with_what_identifies_them() -> None:
    """Pod UID, container, its id and node, and the name that the tool's container will have."""
    first, second = freeze(a_request(RUN, CONFIG), [a_pod("web-2"), a_pod("web-1")])
    assert (first.pod, second.pod) == ("web-1", "web-2")
    assert first == Target(
        pod="web-1",
        pod_uid="uid-web-1",
        container="app",
        node="node-1",
        tool_container=container_name("aperf", "run-1", "uid-web-1"),
        target_container_id="containerd://c1",
    )


def test_a_pod_that_a_rule_refuses_is_a_refused_target() -> None:
    """With the first rule it breaks; it is part of the set, and never entered."""
    target = _frozen(a_pod(spec={"hostPID": True}))
    assert (target.state, target.reason) == ("Refused", Reason.HOST_PID_NOT_ALLOWED)
    assert target.tool_container == ""


def test_a_pod_without_the_container_is_refused_under_the_name_that_was_asked_for() -> None:
    """The name is the user's, and there may be none at all."""
    run = a_powertool(targets={"container": "gone"})
    (target,) = freeze(a_request(run, CONFIG), [a_pod()])
    assert (target.container, target.state, target.reason) == ("gone", "Refused", Reason.CONTAINER_NOT_FOUND)
    assert target.target_container_id == ""
    assert _frozen(a_pod(spec={"containers": []})).container == ""


def test_containers_are_found_by_name_never_by_place() -> None:
    """The API server may put a new one first."""
    pod = _pod(running={})
    name = _tool(a_pod()).name
    assert find_container(pod, name) is not None
    assert find_container(pod, "toe-other") is None
    assert find_status(pod, name) is not None
    assert find_status(a_pod(), name) is None


def test_a_tool_is_live_until_its_container_ended() -> None:
    """Also before the kubelet said anything; containers of others are not counted."""
    name = _tool(a_pod()).name
    assert live_tools(_pod()) == {name}
    assert live_tools(_pod(running={})) == {name}
    assert live_tools(_pod(**_ended(0))) == set()
    assert live_tools(a_pod(spec={"ephemeralContainers": [{"name": "debugger-1"}]})) == set()
    no_state = a_pod(
        spec={"ephemeralContainers": [{"name": name}]}, status={"ephemeralContainerStatuses": [{"name": name}]}
    )
    assert live_tools(no_state) == {name}


@pytest.mark.parametrize(
    "difference",
    [{"image": "evil"}, {"command": ("sh",)}, {"args": ("x",)}, {"target_container_name": "other"}],
)
def test_a_container_with_other_content_is_not_ours(difference: dict[str, Any]) -> None:
    """A name alone proves nothing."""
    tool = _tool(a_pod())
    pods = [with_tool(a_pod(), container) for container in (tool, msgspec.structs.replace(tool, **difference))]
    ours, other = (find_container(pod, tool.name) for pod in pods)
    assert ours is not None
    assert other is not None
    assert is_ours(ours, _frozen(), RUN, CONFIG)
    assert not is_ours(other, _frozen(), RUN, CONFIG)
    assert ours.image == DIGEST


def test_a_target_whose_pod_is_gone_is_gone() -> None:
    """Nothing can be known of it any more."""
    target = _seen(None, 5)
    assert (target.state, target.reason) == ("Gone", Reason.TARGET_DELETED)
    assert _deadline(target) is None


def test_a_target_without_its_container_stays_prepared() -> None:
    """Nothing happened yet."""
    assert _seen(a_pod(), 5) == _frozen()


@pytest.mark.parametrize("state", [{}, {"waiting": {}}, {"waiting": {"reason": "ContainerCreating"}}])
def test_a_tool_that_has_not_started_is_injected_for_ten_minutes(state: dict[str, Any]) -> None:
    """Without an error from the kubelet a large image may take its time."""
    target = _seen(_pod(**state), 599)
    assert (target.state, target.reason) == ("Injected", "")
    assert _deadline(target) == 600
    late = _seen(_pod(**state), 600)
    assert (late.state, late.reason) == ("Failed", Reason.TOOL_NOT_STARTED)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("ErrImagePull", Reason.IMAGE_PULL_FAILED),
        ("ImagePullBackOff", Reason.IMAGE_PULL_FAILED),
        ("InvalidImageName", Reason.IMAGE_PULL_FAILED),
        ("RegistryUnavailable", Reason.IMAGE_PULL_FAILED),
        ("SignatureValidationFailed", Reason.IMAGE_PULL_FAILED),
        ("CreateContainerConfigError", Reason.TOOL_NOT_STARTED),
        ("RunContainerError", Reason.TOOL_NOT_STARTED),
    ],
)
def test_an_error_of_the_kubelet_is_waited_out_for_two_minutes(error: str, reason: Reason) -> None:
    """The error is shown meanwhile, printable."""
    pod = _pod(waiting={"reason": error, "message": "no\x1b such thing"})
    target = _seen(pod, 119)
    assert (target.state, target.reason, target.message) == ("Injected", error, f"{error}: no\ufffd such thing")
    assert _deadline(target) == 120
    late = _seen(pod, 120)
    assert (late.state, late.reason) == ("Failed", reason)
    assert late.message == f"the tool did not start: {error}: no\ufffd such thing"


def test_an_error_that_passed_is_forgotten() -> None:
    """A tool that started shows no reason."""
    failing = _seen(_pod(waiting={"reason": "ErrImagePull"}), 5)
    target = _seen(_pod(running={"startedAt": when(9)}), 10, failing)
    assert (target.state, target.reason, target.message) == ("Running", "", "")
    assert target.started_at == when(9)
    assert target.image_id == "registry.example/toe/aperf@sha256:ran"


def test_a_tool_may_run_until_its_not_after_and_a_little() -> None:
    """After that it is an overrun, and the run ends."""
    pod = _pod(running={"startedAt": when(2)})
    target = _seen(pod, NOT_AFTER + 30)
    assert target.state == "Running"
    assert _deadline(target, pod) == NOT_AFTER + 31
    assert _deadline(target) == NOT_AFTER + 31
    late = _seen(pod, NOT_AFTER + 31)
    assert (late.state, late.reason) == ("Failed", Reason.OVERRUN)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_ended_starts_no_tool(phase: str) -> None:
    """A restart policy of Never ends pods that are targets."""
    pod = msgspec.structs.replace(_pod(), status=msgspec.structs.replace(_pod().status, phase=phase))
    target = _seen(pod, 5)
    assert (target.state, target.reason) == ("Failed", Reason.TARGET_NOT_RUNNING)


def test_exit_code_0_is_success_with_what_was_reported() -> None:
    """Whatever the summary says: a target could forge it."""
    summary = json.dumps({"v": 1, "exit": 1, "reason": "ToolFailed", "message": "3 files", "uid": 1000})
    target = _seen(_pod(**_ended(0, message=summary)), 30)
    assert (target.state, target.reason, target.message, target.exit_code) == (
        "Succeeded",
        Reason.COMPLETED,
        "3 files",
        0,
    )
    assert target.reported is not None
    assert target.reported.uid == 1000
    assert (target.started_at, target.finished_at) == (when(2), when(20))
    assert _seen(_pod(**_ended(0)), 30).message == ""


def _other_container(pod: Pod, **status: Any) -> Pod:
    raw = {"status": {"containerStatuses": [a_container_status("app", **status)]}}
    return msgspec.convert(merged(msgspec.to_builtins(pod), raw), Pod)


GOING = "the pod is being deleted; the tool ended with exit code 143"
OOM = _pod(**_ended(137, reason="OOMKilled"))
START = _pod(**_ended(128, reason="StartError", message="exec failed"))
CANNOT = _pod(**_ended(127, reason="ContainerCannotRun"))


def _going(pod: Pod) -> Pod:
    return msgspec.convert(merged(msgspec.to_builtins(pod), {"metadata": {"deletionTimestamp": when(19)}}), Pod)


@pytest.mark.parametrize(
    ("pod", "reason", "message"),
    [
        (_pod(**_ended(2)), Reason.TOOL_FAILED, "exit code 2"),
        (_pod(**_ended(2, message="no such option")), Reason.TOOL_FAILED, "exit code 2: no such option"),
        (
            _going(_pod(**_ended(143))),
            Reason.TARGET_DELETED,
            "the pod is being deleted; the tool ended with exit code 143",
        ),
        (
            OOM,
            Reason.OUT_OF_MEMORY,
            "killed for lack of memory in the pod (exit code 137)",
        ),
        (_pod(**_ended(137)), Reason.KILLED, "killed from outside (exit code 137)"),
        (
            START,
            Reason.TOOL_NOT_STARTED,
            "StartError: exec failed",
        ),
        (
            _pod(**_ended(127, reason="ContainerCannotRun")),
            Reason.TOOL_NOT_STARTED,
            "ContainerCannotRun: exit code 127",
        ),
        (
            _other_container(_pod(**_ended(137)), container_id="c2"),
            Reason.TARGET_RESTARTED,
            "the container app ended while the tool was in it",
        ),
        (
            _other_container(_pod(**_ended(137)), terminated={"exitCode": 1}),
            Reason.TARGET_RESTARTED,
            "the container app ended while the tool was in it",
        ),
        (_other_container(_pod(**_ended(1)), container_id="c2"), Reason.TOOL_FAILED, "exit code 1"),
        (
            _pod(**_ended(1, message=json.dumps({"v": 1, "exit": 1, "reason": "GraceExceeded", "message": "killed"}))),
            Reason.GRACE_EXCEEDED,
            "killed",
        ),
        (
            _pod(**_ended(1, message=json.dumps({"v": 1, "exit": 1, "reason": "ToolNotFound"}))),
            Reason.TOOL_BINARY_NOT_FOUND,
            "exit code 1",
        ),
        (
            _pod(**_ended(1, message=json.dumps({"v": 1, "exit": 1, "reason": "Completed"}))),
            Reason.TOOL_FAILED,
            'exit code 1: {"v": 1, "exit": 1, "reason": "Completed"}',
        ),
    ],
)
def test_every_other_end_is_a_failure_with_its_cause(pod: Pod, reason: Reason, message: str) -> None:
    """The target's own end is not the tool's failure, and the supervisor's word is better than a code (I-43)."""
    target = _seen(pod, 60)
    assert (target.state, target.reason, target.message) == ("Failed", reason, message)


def test_a_killed_tool_waits_a_moment_for_news_of_its_target() -> None:
    """The kubelet reports both ends, not always at once."""
    pod = _pod(**_ended(137, finished=20))
    target = _seen(pod, 24)
    assert target.state == "Running"
    assert _deadline(target, pod) == 25
    assert _seen(pod, 25).reason == Reason.KILLED
    assert _seen(_other_container(pod, container_id="c2"), 24).reason == Reason.TARGET_RESTARTED


def test_a_clock_that_is_ahead_or_missing_is_not_waited_for() -> None:
    """A node's wrong time keeps no run from ending."""
    assert _seen(_pod(**_ended(137, finished=4000)), 20).state == "Failed"
    assert _seen(_pod(terminated={"exitCode": 137}), 20).state == "Failed"
    odd = _pod(terminated={"exitCode": 137})
    assert _deadline(msgspec.structs.replace(_frozen(), state="Running"), odd) == NOT_AFTER + 31
    no_state = a_pod(status={"ephemeralContainerStatuses": [{"name": _frozen().tool_container}]})
    assert _deadline(msgspec.structs.replace(_frozen(), state="Running"), no_state) == NOT_AFTER + 31


def test_messages_fit_the_schema() -> None:
    """1,024 characters, printable."""
    target = _seen(_pod(**_ended(2, message="\x1b" * 3000)), 30)
    assert len(target.message) == 1024
    assert target.message.isprintable()
