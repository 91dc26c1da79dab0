"""The whole next step of a run. The plans themselves are files: tests/golden; here is what must hold of them."""

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from tests.builders import (
    APPROVED,
    NOW,
    a_config,
    a_pod,
    a_powertool,
    a_rival,
    a_snapshot,
    at,
    merged,
    when,
    with_tool,
)
from toe.api.meta import Condition
from toe.api.pod import Pod
from toe.api.powertool import PowerTool, PowerToolStatus
from toe.api.reasons import Reason
from toe.plan.actions import AddEphemeralContainer, Plan, RecordEvent, WriteStatus
from toe.plan.container import ToolContainer
from toe.plan.deadlines import not_after
from toe.plan.ending import MAX_ARTIFACTS
from toe.plan.planner import plan
from toe.plan.snapshot import Snapshot
from toe.policy.verdict import Violation

THREE = [a_pod(f"web-{number}") for number in (1, 2, 3)]
RUNNING = {"running": {"startedAt": when(2)}}
DONE = {"terminated": {"exitCode": 0, "startedAt": when(2), "finishedAt": when(30)}}
FAILED = {"terminated": {"exitCode": 3, "startedAt": when(2), "finishedAt": when(30), "message": "no"}}


def _status(made: Plan) -> PowerToolStatus:
    (write,) = [action for action in made.actions if isinstance(action, WriteStatus)]
    return write.status


def _additions(made: Plan) -> list[AddEphemeralContainer]:
    return [action for action in made.actions if isinstance(action, AddEphemeralContainer)]


def _events(made: Plan) -> list[RecordEvent]:
    return [action for action in made.actions if isinstance(action, RecordEvent)]


def _condition(status: PowerToolStatus, kind: str) -> Condition | None:
    return next((condition for condition in status.conditions if condition.type == kind), None)


def _frozen(run: PowerTool | None = None, pods: Iterable[Pod] = THREE) -> tuple[PowerTool, dict[str, ToolContainer]]:
    run = run or a_powertool()
    made = plan(a_snapshot(run, pods))
    tools = {addition.pod: addition.container for addition in _additions(made)}
    return msgspec.structs.replace(run, status=_status(made)), tools


def _pods(*states: dict[str, Any] | None) -> list[Pod]:
    _, tools = _frozen()
    return [
        pod if state is None else with_tool(pod, tools[pod.metadata.name], **state)
        for pod, state in zip(THREE, states, strict=True)
    ]


def _progress(*states: dict[str, Any] | None, seconds: float = 40, **more: Any) -> Plan:
    return plan(a_snapshot(_frozen()[0], _pods(*states), now=at(seconds), **more))


def test_the_status_is_written_before_the_first_container() -> None:
    """The record of the intent comes first, whatever fails after it."""
    made = plan(a_snapshot(pods=THREE))
    assert [type(action) for action in made.actions] == [
        WriteStatus,
        RecordEvent,
        AddEphemeralContainer,
        AddEphemeralContainer,
        AddEphemeralContainer,
    ]
    assert [target.state for target in _status(made).targets] == ["Prepared"] * 3


def test_an_injection_names_the_pod_its_uid_and_the_version_that_was_seen() -> None:
    """Another pod of the same name, or another state of it, is never written to (I-08)."""
    (first, *_) = _additions(plan(a_snapshot(pods=THREE)))
    assert (first.namespace, first.pod, first.pod_uid, first.resource_version) == (
        "production",
        "web-1",
        "uid-web-1",
        "1",
    )
    assert [event.regarding.kind for event in first.events] == ["PowerTool", "Pod"]


@pytest.mark.parametrize(
    ("security", "words"),
    [
        ({"allowPrivileged": True, "runAsRoot": True}, "privileged with no capability"),
        ({"runAsRoot": True, "capabilities": {"add": ["SYS_PTRACE", "KILL"]}}, "as root with KILL, SYS_PTRACE"),
        ({}, "as uid 1000 with no capability"),
    ],
)
def test_the_owner_of_a_pod_is_told_with_what_security(security: dict[str, Any], words: str) -> None:
    """The event on the pod says who put what into it, and how."""
    labels = {"toe.run/allow-privileged-tools": "true"}
    snapshot = a_snapshot(configs=[a_config(APPROVED, security=security)], namespace_labels=labels)
    (addition,) = _additions(plan(snapshot))
    assert addition.events[1].reason == Reason.TOOL_INJECTED
    assert addition.events[1].message == f"PowerTool profile-web put aperf into web-1 (container app) {words}"


def test_no_tool_outlives_its_not_after() -> None:
    """Start allowance, warmup, duration and grace after the freeze."""
    run = a_powertool(tool={"warmup": "5s"})
    assert not_after(run, NOW, a_snapshot(run)) == at(600 + 5 + 30 + 10)
    assert _status(plan(a_snapshot(run))).not_after == when(645)
    odd = msgspec.structs.replace(run.spec.tool, duration="odd", warmup=None)
    odd_run = msgspec.structs.replace(run, spec=msgspec.structs.replace(run.spec, tool=odd))
    assert not_after(odd_run, NOW, a_snapshot(run)) == at(610)


def test_a_refusal_by_rule_ends_a_run_at_once() -> None:
    """Nothing was injected and nothing will be; all violations are in the message."""
    run = a_powertool(tool={"args": ["-x"], "duration": "2h"})
    made = plan(a_snapshot(run))
    status = _status(made)
    assert status.phase == "Failed"
    assert status.is_finished
    assert status.last_error == (
        "spec.tool.args[0]: aperf accepts no arguments here; "
        "spec.tool.duration: 2h is longer than the 1h that aperf permits"
    )
    assert _additions(made) == []
    assert made.look_again is None
    assert status.config is not None


def test_what_may_come_by_itself_is_waited_for_until_the_deadline() -> None:
    """Pending, with the reason; then Failed with what it waited for."""
    made = plan(a_snapshot(configs=[], now=at(10)))
    status = _status(made)
    assert (status.phase, made.look_again) == ("Pending", at(300))
    accepted = _condition(status, "Accepted")
    assert accepted is not None
    assert (accepted.status, accepted.reason) == ("False", Reason.TOOL_NOT_FOUND)
    waiting = msgspec.structs.replace(a_powertool(), status=status)
    assert plan(a_snapshot(waiting, configs=[], now=at(299))) == Plan(look_again=at(300))
    late = _status(plan(a_snapshot(waiting, configs=[], now=at(300))))
    assert late.is_finished
    assert late.last_error == "waited 5m in vain: PowerToolConfig not found for tool: aperf"
    assert late.config is None


def test_a_run_without_a_creation_time_waits_from_now() -> None:
    """An object that was never stored is planned too, by ``kubectl toe plan``."""
    run = a_powertool({"creationTimestamp": None})
    assert plan(a_snapshot(run, configs=[], now=at(7))).look_again == at(307)


def test_a_pod_that_is_taken_makes_the_whole_run_wait() -> None:
    """The message is the one people know, and no pod is entered."""
    made = plan(a_snapshot(pods=THREE, rivals=(a_rival("other", "web-2"),)))
    status = _status(made)
    assert (status.phase, status.targets, _additions(made)) == ("Conflicted", (), [])
    conflicted = _condition(status, "Conflicted")
    assert conflicted is not None
    assert conflicted.message == "Pod web-2 is already being profiled by PowerTool other"


def _conflicted(*rivals: str) -> PowerTool:
    made = plan(a_snapshot(pods=THREE, rivals=tuple(a_rival(name, "web-2") for name in rivals)))
    return msgspec.structs.replace(a_powertool(), status=_status(made))


def test_a_conflict_with_the_same_holder_is_told_once() -> None:
    """That one more pod is free is no news; that somebody else holds it is."""
    run = _conflicted("other")
    same = a_snapshot(run, THREE, rivals=(a_rival("other", "web-3"),), now=at(9))
    assert plan(same) == Plan(look_again=at(300))
    other = a_snapshot(run, THREE, rivals=(a_rival("next", "web-3"),), now=at(9))
    assert _events(plan(other))[0].message == "Pod web-3 is already being profiled by PowerTool next"


def test_a_conflict_ends_by_itself() -> None:
    """When all pods are free; and its condition says so, whatever the end is."""
    run = _conflicted("other")
    started = _condition(_status(plan(a_snapshot(run, THREE, now=at(9)))), "Conflicted")
    assert started is not None
    assert (started.status, started.reason) == ("False", Reason.CONFLICT_RESOLVED)
    gone = _condition(_status(plan(a_snapshot(run, [], now=at(9)))), "Conflicted")
    assert gone is not None
    assert (gone.status, gone.reason) == ("False", Reason.NO_MATCHING_PODS)
    late = _condition(_status(plan(a_snapshot(run, [], now=at(300)))), "Conflicted")
    assert late is not None
    assert (late.status, late.reason) == ("False", Reason.START_DEADLINE_EXCEEDED)
    canceled = msgspec.structs.replace(run, spec=msgspec.structs.replace(run.spec, cancel=True))
    ended = _condition(_status(plan(a_snapshot(canceled, THREE))), "Conflicted")
    assert ended is not None
    assert (ended.status, ended.reason) == ("False", Reason.CANCELED)


@pytest.mark.parametrize(
    ("rival", "most", "starts"),
    [
        (a_rival("a", "web-1"), 1, False),
        (a_rival("a", "web-1"), 2, False),
        (a_rival("a", "web-1", max_concurrent=2), 1, False),
        (a_rival("a", "web-1", max_concurrent=2), 2, True),
        (a_rival("a", "web-9"), 1, True),
        (a_rival("a", "web-1", holds=False, created=when(-1)), 1, False),
        (a_rival("a", "web-1", holds=False, created=when(1)), 1, True),
        (a_rival("a", "web-1", holds=False, created=when(0), uid="a"), 1, False),
        (a_rival("a", "web-1", holds=False, created=when(0), uid="z"), 1, True),
    ],
)
def test_the_strictest_tool_involved_decides_and_the_oldest_goes_first(rival: Any, most: int, starts: bool) -> None:
    """Two runs never block each other: of two that wait exactly one is older."""
    config = a_config(limits={"maxConcurrentPerPod": most})
    assert bool(_additions(plan(a_snapshot(configs=[config], rivals=(rival,))))) is starts


def test_a_tool_in_the_pod_counts_once() -> None:
    """The container of a run that holds the pod is no second stranger; one of nobody is one."""
    stranger = msgspec.structs.replace(_frozen()[1]["web-1"], name="toe-aperf-0000000000")
    pod = with_tool(a_pod(), stranger, **RUNNING)
    two = a_config(limits={"maxConcurrentPerPod": 2})
    holder = a_rival("a", "web-1", max_concurrent=2, tools=frozenset({stranger.name}))
    assert _additions(plan(a_snapshot(pods=[pod], configs=[two], rivals=(holder,))))
    other = a_rival("a", "web-1", max_concurrent=2)
    assert not _additions(plan(a_snapshot(pods=[pod], configs=[two], rivals=(other,))))
    conflicted = _condition(_status(plan(a_snapshot(pods=[pod]))), "Conflicted")
    assert conflicted is not None
    assert conflicted.message == "Pod web-1 is already being profiled by PowerTool toe-aperf-0000000000"


def test_a_run_whose_pods_are_all_refused_fails_with_its_targets() -> None:
    """What was looked at is recorded."""
    made = plan(a_snapshot(pods=[a_pod(spec={"hostPID": True})]))
    status = _status(made)
    assert (status.phase, status.selected_pods, status.failed_pods) == ("Failed", 1, 1)
    assert _additions(made) == []


def test_completed_is_exactly_when_every_target_succeeded() -> None:
    """One that did not is enough to fail (I-19)."""
    assert _status(_progress(DONE, DONE, DONE)).phase == "Completed"
    assert _status(_progress(DONE, DONE, DONE)).last_error == ""
    failed = _status(_progress(DONE, FAILED, DONE))
    assert failed.phase == "Failed"
    assert failed.last_error == "1 of 3 targets failed: web-2: ToolFailed: exit code 3: no"
    assert (failed.completed_pods, failed.failed_pods) == (2, 1)


def test_a_failure_without_a_sentence_ends_with_its_reason() -> None:
    """No colon is left over."""
    refusal = {"uid-web-1": Violation(Reason.CLUSTER_FORBIDS, "")}
    status = _status(_progress(None, DONE, DONE, refusals=refusal))
    assert status.last_error == "1 of 3 targets failed: web-1: ClusterForbids"


def test_the_end_is_final() -> None:
    """A finished run has no next step, ever, and neither has one that is going (I-20)."""
    finished = msgspec.structs.replace(_frozen()[0], status=_status(_progress(DONE, DONE, DONE)))
    for seconds in (41, 10_000):
        for pods in (THREE, [], _pods(RUNNING, FAILED, None)):
            assert plan(a_snapshot(finished, pods, now=at(seconds))) == Plan()
    assert plan(a_snapshot(a_powertool({"deletionTimestamp": when(0)}))) == Plan()


def test_what_is_missing_is_added_and_nothing_twice() -> None:
    """A lost answer, or a restart between freeze and injection (I-09, I-23)."""
    made = _progress({}, None, RUNNING, seconds=5)
    assert [addition.pod for addition in _additions(made)] == ["web-2"]
    again = plan(a_snapshot(_frozen()[0], _pods({}, {}, RUNNING), now=at(6)))
    assert _additions(again) == []


def test_nothing_is_added_while_the_config_is_missing_and_refused_when_it_narrowed() -> None:
    """The rules are asked again before each injection (I-44)."""
    missing = _progress(RUNNING, None, None, seconds=5, configs=[])
    assert _additions(missing) == []
    assert missing.look_again == at(300)
    narrowed = _progress(RUNNING, None, None, seconds=5, configs=[a_config(allowedNamespaces=["other"])])
    assert [target.state for target in _status(narrowed).targets] == ["Running", "Refused", "Refused"]


def test_what_could_not_be_injected_in_time_fails() -> None:
    """The start deadline counts from the freeze; tools that are in go on."""
    made = _progress(RUNNING, None, None, seconds=300, configs=[])
    assert [(target.state, target.reason) for target in _status(made).targets] == [
        ("Running", ""),
        ("Failed", Reason.START_DEADLINE_EXCEEDED),
        ("Failed", Reason.START_DEADLINE_EXCEEDED),
    ]


def test_a_target_that_ended_is_not_looked_at_again() -> None:
    """Whatever happens to its pod later."""
    refused = a_pod("web-2", spec={"hostPID": True})
    run = _frozen(pods=[THREE[0], refused])[0]
    states = [target.state for target in _status(plan(a_snapshot(run, _pods(RUNNING, None, None), now=at(5)))).targets]
    assert states == ["Running", "Refused"]


def test_the_container_that_was_frozen_is_judged_again_and_entered() -> None:
    """An annotation that changed since does not lead to another container."""
    two = {"containers": [{"name": "app"}, {"name": "vault"}]}
    pod = a_pod(spec=two)
    run = _frozen(pods=[pod])[0]
    moved = msgspec.convert(
        merged(
            msgspec.to_builtins(pod),
            {"metadata": {"annotations": {"kubectl.kubernetes.io/default-container": "vault"}}},
        ),
        Pod,
    )
    (addition,) = _additions(plan(a_snapshot(run, [moved], now=at(5))))
    assert addition.container.target_container_name == "app"
    closed = a_config(allowedTargets={"exceptContainers": ["app"]})
    (target,) = _status(plan(a_snapshot(run, [moved], configs=[closed], now=at(5)))).targets
    assert (target.container, target.state) == ("app", "Refused")


def test_there_is_room_for_as_many_tools_as_the_strictest_accepts() -> None:
    """Two controllers that do not know of each other still leave one tool in the pod."""
    stranger = msgspec.structs.replace(_frozen()[1]["web-1"], name="toe-aperf-0000000000")
    run = _frozen(pods=THREE[:1])[0]
    taken = with_tool(THREE[0], stranger, **RUNNING)
    assert _additions(plan(a_snapshot(run, [taken], now=at(5)))) == []
    two = a_config(limits={"maxConcurrentPerPod": 2})
    other = msgspec.structs.replace(run.status.config, digest="")  # type: ignore[type-var]
    same = msgspec.structs.replace(run, status=msgspec.structs.replace(run.status, config=other))
    assert _additions(plan(a_snapshot(same, [taken], configs=[two], now=at(5))))
    strict = (a_rival("strict", "web-1"),)
    assert _additions(plan(a_snapshot(same, [taken], configs=[two], rivals=strict, now=at(5)))) == []


def test_a_squatted_name_is_a_failure_even_when_the_squatter_succeeded() -> None:
    """A container that somebody else made under our name decides nothing for us (I-18)."""
    run, tools = _frozen(pods=THREE[:1])
    squatter = with_tool(THREE[0], msgspec.structs.replace(tools["web-1"], image="evil"), **DONE)
    (target,) = _status(plan(a_snapshot(run, [squatter], now=at(40)))).targets
    assert (target.state, target.reason) == ("Failed", Reason.CONTAINER_NAME_TAKEN)
    changed = [a_config(defaultArgs=["x"])]
    assert _status(plan(a_snapshot(run, [squatter], configs=changed, now=at(40)))).phase == "Completed"
    assert _status(plan(a_snapshot(run, [squatter], configs=[], now=at(40)))).phase == "Completed"


@pytest.mark.parametrize("reason", [Reason.POD_SECURITY_FORBIDS, Reason.CLUSTER_FORBIDS, Reason.CONTAINER_INVALID])
def test_a_refusal_of_the_api_server_is_final_for_its_target(reason: Reason) -> None:
    """The others go on."""
    made = _progress(None, RUNNING, None, seconds=5, refusals={"uid-web-1": Violation(reason, "no")})
    first, *_ = _status(made).targets
    assert (first.state, first.reason, first.message) == ("Refused", reason, "no")
    assert [addition.pod for addition in _additions(made)] == ["web-3"]


@pytest.mark.parametrize("difference", [{"status": {"phase": "Failed"}}, {"metadata": {"deletionTimestamp": when(3)}}])
def test_a_pod_that_ended_before_the_injection_is_gone(difference: dict[str, Any]) -> None:
    """Nothing is added to a pod that is going."""
    run = _frozen(pods=THREE[:1])[0]
    (target,) = _status(plan(a_snapshot(run, [a_pod("web-1", **difference)], now=at(5)))).targets
    assert (target.state, target.reason) == ("Gone", Reason.TARGET_DELETED)


def _canceled(run: PowerTool) -> PowerTool:
    raw = {"metadata": {"generation": 2}, "spec": {"cancel": True}}
    return msgspec.convert(merged(msgspec.to_builtins(run), raw), PowerTool)


def test_cancel_stops_what_has_not_begun_and_waits_for_the_rest() -> None:
    """A tool that is in a pod ends at its not-after."""
    run = _canceled(_frozen()[0])
    made = plan(a_snapshot(run, _pods(RUNNING, None, DONE), now=at(40)))
    assert [target.state for target in _status(made).targets] == ["Running", "Refused", "Succeeded"]
    assert _status(made).observed_generation == 2
    assert _additions(made) == []
    ended = _status(plan(a_snapshot(run, _pods(DONE, None, DONE), now=at(40))))
    assert (ended.phase, ended.last_error) == ("Canceled", "canceled; 2 of 3 targets had succeeded")
    assert _status(plan(a_snapshot(run, _pods(DONE, DONE, DONE), now=at(40)))).phase == "Completed"


def test_a_run_that_is_canceled_before_it_began_ends_without_a_target() -> None:
    """Even one that nothing would have permitted."""
    status = _status(plan(a_snapshot(a_powertool(cancel=True), configs=[])))
    assert (status.phase, status.selected_pods, status.is_finished) == ("Canceled", 0, True)


def test_progress_is_written_when_it_is_news_and_else_at_most_every_two_seconds() -> None:
    """Three writes are what a short run costs."""
    run = _frozen()[0]
    injected = plan(a_snapshot(run, _pods({}, {}, {}), now=at(1)))
    assert injected == Plan(look_again=at(2))
    assert _status(plan(a_snapshot(run, _pods({}, {}, {}), now=at(2)))).phase == "Pending"
    running = _status(plan(a_snapshot(run, _pods(RUNNING, {}, {}), now=at(1))))
    assert running.phase == "Running"
    told = msgspec.structs.replace(run, status=running)
    more = _pods(RUNNING, RUNNING, {})
    assert plan(a_snapshot(told, more, now=at(8), last_written=at(7))) == Plan(look_again=at(9))
    assert _status(plan(a_snapshot(told, more, now=at(9), last_written=at(7)))).phase == "Running"
    same = plan(a_snapshot(told, _pods(RUNNING, {}, {}), now=at(9)))
    assert same.actions == ()


def test_a_run_in_which_nothing_runs_any_more_says_so() -> None:
    """Between the last tool that runs and one that has not started."""
    run = msgspec.structs.replace(_frozen()[0], status=_status(_progress(RUNNING, {}, {}, seconds=5)))
    status = _status(plan(a_snapshot(run, _pods(DONE, {}, {}), now=at(40))))
    running = _condition(status, "Running")
    assert running is not None
    assert (running.status, running.message) == ("False", "0 of 3 tools are running")


@pytest.mark.parametrize("field", ["not_after", "started_at", "config"])
def test_a_status_that_lost_a_field_is_still_planned(field: str) -> None:
    """Whoever took it away, the run goes on and ends."""
    run = _frozen()[0]
    empty: Any = None if field == "config" else ""
    run = msgspec.structs.replace(run, status=msgspec.structs.replace(run.status, **{field: empty}))
    assert len(_additions(plan(a_snapshot(run, THREE, now=at(5))))) == 3
    assert _status(plan(a_snapshot(run, _pods(DONE, DONE, DONE), now=at(40)))).phase == "Completed"


def test_files_of_all_targets_are_listed_and_counted() -> None:
    """The total is kept even where the list is cut."""
    files = [{"name": f"f{number}", "bytes": 10} for number in range(64)]
    message = json.dumps({"v": 1, "exit": 0, "reason": "Completed", "files": files, "bytes": 700})
    done = {"terminated": {**DONE["terminated"], "message": message}}
    status = _status(_progress(done, DONE, done))
    assert len(status.artifacts) == 128
    assert (status.artifacts[0].pod, status.artifacts[-1].pod) == ("web-1", "web-3")
    assert status.bytes_written == 1400
    many = [a_pod(f"p-{number:02}") for number in range(20)]
    run, tools = _frozen(pods=many)
    pods = [with_tool(pod, tools[pod.metadata.name], **done) for pod in many]
    cut = _status(plan(a_snapshot(run, pods, now=at(40))))
    assert (len(cut.artifacts), cut.bytes_written) == (MAX_ARTIFACTS, 20 * 700)


def test_text_of_users_is_printable_wherever_it_ends_up() -> None:
    """A label that moves cursors ends up in nobody's terminal."""
    run = a_powertool(targets={"labelSelector": {"matchLabels": {"app": "\x1b[2J"}}})
    made = plan(a_snapshot(run, []))
    accepted = _condition(_status(made), "Accepted")
    assert accepted is not None
    assert accepted.message == "no running pod in production matches app=\ufffd[2J"
    assert _events(made)[0].message == accepted.message


def test_a_plan_is_a_function_of_its_snapshot() -> None:
    """The same snapshot gives the same plan, whoever makes it."""
    snapshots: list[Snapshot] = [
        a_snapshot(pods=THREE),
        a_snapshot(_frozen()[0], _pods(RUNNING, None, DONE), now=at(9)),
    ]
    for snapshot in snapshots:
        assert plan(snapshot) == plan(snapshot)
