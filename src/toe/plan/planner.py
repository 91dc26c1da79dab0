"""The whole next step of a run.

::

    begin:     judge -> Denied: Failed at once
                     -> Undecided: wait until the start deadline
                     -> taken by another run: Conflicted, wait
                     -> Allowed: freeze the targets, write that down, add one container to each
    progress:  look at each frozen target; add what is missing; finish when all have ended

A plan is a pure function of its snapshot: a repeated snapshot gives the same plan, whoever makes it.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from toe.api.artifact import Artifact
from toe.api.meta import API_VERSION, ObjectReference
from toe.api.pod import Pod
from toe.api.powertool import KIND, Phase, PowerTool, PowerToolStatus, Target, UsedConfig
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.reasons import Reason
from toe.api.time import format_duration, format_time, parse_duration, parse_time
from toe.plan.actions import Action, AddEphemeralContainer, Plan, RecordEvent, WriteStatus
from toe.plan.conditions import ConditionType, is_true, with_condition
from toe.plan.container import ToolContainer, render
from toe.plan.snapshot import Rival, Snapshot
from toe.plan.summary import parse_summary, printable
from toe.plan.targets import (
    ENDED,
    ended,
    find_container,
    find_status,
    freeze,
    is_ours,
    live_tools,
    next_deadline,
    observe,
    refused,
)
from toe.policy.chains import RUN, evaluate
from toe.policy.tier import added
from toe.policy.verdict import Allowed, Denied, Violation

QUIET = timedelta(seconds=2)
"""Progress that changes no condition is written at most this often."""

MAX_ARTIFACTS = 1000


def plan(snapshot: Snapshot) -> Plan:
    """Returns the next step of a run; nothing for one that is finished or going."""
    run = snapshot.request.run
    if run.status.is_finished or run.metadata.deletion_timestamp:
        return Plan()
    return _progress(snapshot) if run.status.is_frozen else _begin(snapshot)


def not_after(run: PowerTool, start: datetime, snapshot: Snapshot) -> datetime:
    """Returns the moment no tool of the run outlives: start allowance, warmup, duration and grace after ``start``."""
    settings, tool = snapshot.request.settings, run.spec.tool
    duration = parse_duration(tool.duration) or timedelta()
    warmup = parse_duration(tool.warmup or "") or timedelta()
    return start + settings.start_allowance + warmup + duration + settings.grace


# The beginning: nothing is written yet


def _begin(snapshot: Snapshot) -> Plan:
    request, run = snapshot.request, snapshot.request.run
    if run.spec.cancel:
        return _finish(snapshot, _status(run), (), canceled=True)
    verdict = evaluate(RUN, msgspec.structs.replace(request, matching=len(snapshot.matching)))
    match verdict:
        case Denied(violations):
            message = printable("; ".join(str(violation) for violation in violations))
            return _fail(snapshot, violations[0].reason, message)
        case Allowed():
            config = request.config
            assert config is not None
            return _start(snapshot, config)
        case _:
            message = printable("; ".join(missing.message for missing in verdict.unmet))
            return _wait(snapshot, "Pending", verdict.unmet[0].reason, message)


def _start(snapshot: Snapshot, config: PowerToolConfig) -> Plan:
    run, now = snapshot.request.run, snapshot.now
    targets = freeze(snapshot.request, snapshot.matching)
    prepared = {target.pod_uid for target in targets if target.state == "Prepared"}
    pods = {pod.metadata.uid: pod for pod in snapshot.matching}
    if conflict := _conflict(
        snapshot, config, [pods[uid] for uid in sorted(prepared, key=lambda u: pods[u].metadata.name)]
    ):
        return _wait(snapshot, "Conflicted", Reason.CONFLICT_DETECTED, _unless_known(run, conflict))
    status = msgspec.structs.replace(
        _status(run),
        phase="Pending",
        config=_used(snapshot, config),
        started_at=format_time(now),
        not_after=format_time(not_after(run, now, snapshot)),
    )
    status = _conditions(status, snapshot, Accepted=(True, Reason.ACCEPTED, _selected(targets, config)))
    if is_true(status.conditions, "Conflicted"):
        status = _conditions(status, snapshot, Conflicted=(False, Reason.CONFLICT_RESOLVED, "all pods are free"))
    if not prepared:
        return _finish(snapshot, status, targets)
    frozen = msgspec.structs.replace(run, status=_counted(status, targets))
    after = msgspec.structs.replace(
        snapshot, request=msgspec.structs.replace(snapshot.request, run=frozen), pods=pods, matching=()
    )
    additions = _additions(after, config, targets)
    write = WriteStatus(run=run, status=frozen.status)
    accepted = _event(run, "Normal", Reason.ACCEPTED, _selected(targets, config))
    return Plan((write, accepted, *additions), look_again=_look_again(after, targets))


def _conflict(snapshot: Snapshot, config: PowerToolConfig, pods: Iterable[Pod]) -> str:
    """Says which pod is taken by which run; empty when all are free.

    A pod is taken when as many tools are in it, or were frozen for it, as the strictest tool involved accepts. An older
    run that waits for the pod goes first.
    """
    own = config.spec.effective_limits.max_concurrent_per_pod
    order = (snapshot.request.run.metadata.creation_timestamp, snapshot.request.run.metadata.uid)
    for pod in pods:
        uid = pod.metadata.uid
        ahead = [rival for rival in snapshot.rivals if uid in rival.pods and (rival.holds or rival.order < order)]
        strangers = live_tools(pod) - _known_tools(ahead, pod, snapshot)
        limit = min([own, *(rival.max_concurrent for rival in ahead)])
        if len(ahead) + len(strangers) >= limit:
            holder = min(ahead, key=lambda rival: (not rival.holds, *rival.order)).name if ahead else min(strangers)
            return f"Pod {pod.metadata.name} is already being profiled by PowerTool {holder}"
    return ""


def _unless_known(run: PowerTool, conflict: str) -> str:
    """Returns what the status says already while the holder is the same: that one more pod is free is no news."""
    told = next((c.message for c in run.status.conditions if c.type == "Conflicted" and c.status == "True"), "")
    return told if told.rpartition(" ")[2] == conflict.rpartition(" ")[2] else conflict


def _known_tools(rivals: Iterable[Rival], pod: Pod, snapshot: Snapshot) -> frozenset[str]:
    """Returns the live containers in a pod that belong to rivals, so that none is counted twice."""
    return frozenset(name for rival in rivals for name in live_tools(pod) if name in rival.tools)


def _wait(snapshot: Snapshot, phase: Phase, reason: Reason, message: str) -> Plan:
    """Keeps a run waiting, visibly, until its start deadline."""
    run, settings = snapshot.request.run, snapshot.request.settings
    created = parse_time(run.metadata.creation_timestamp) or snapshot.now
    deadline = created + settings.start_deadline
    if snapshot.now >= deadline:
        waited = format_duration(settings.start_deadline)
        return _fail(snapshot, reason, f"waited {waited} in vain: {message}", waited=True)
    status = msgspec.structs.replace(_status(run), phase=phase)
    status = _conditions(status, snapshot, Accepted=(False, reason, message))
    if phase == "Conflicted" or is_true(run.status.conditions, "Conflicted"):
        status = _conditions(status, snapshot, Conflicted=(phase == "Conflicted", reason, message))
    if status == run.status:
        return Plan(look_again=deadline)
    event = _event(run, "Warning", reason, message)
    return Plan((WriteStatus(run=run, status=status), event), look_again=deadline)


def _fail(snapshot: Snapshot, reason: Reason, message: str, *, waited: bool = False) -> Plan:
    """Ends a run that never started: nothing was injected, nothing will be."""
    run = snapshot.request.run
    config = snapshot.request.config
    status = msgspec.structs.replace(
        _status(run),
        phase="Failed",
        config=_used(snapshot, config) if config else None,
        finished_at=format_time(snapshot.now),
        last_error=message[:1024],
    )
    failed = Reason.START_DEADLINE_EXCEEDED if waited else reason
    status = _conditions(
        status,
        snapshot,
        Accepted=(False, reason, message),
        Completed=(False, failed, message),
        Failed=(True, failed, message),
        Finished=(True, Reason.FAILED, message),
    )
    if is_true(status.conditions, "Conflicted"):
        status = _conditions(status, snapshot, Conflicted=(False, failed, message))
    return Plan((WriteStatus(run=run, status=status), _event(run, "Warning", failed, message)))


# Progress: the targets are frozen


def _progress(snapshot: Snapshot) -> Plan:
    run = snapshot.request.run
    targets, additions = _advance(snapshot, tuple(_seen(snapshot, target) for target in run.status.targets))
    if all(target.state in ENDED for target in targets):
        return _finish(snapshot, _status(run), targets)
    status = _counted(_status(run), targets)
    running = any(target.state == "Running" for target in targets)
    if running or is_true(status.conditions, "Running"):
        message = f"{sum(t.state == 'Running' for t in targets)} of {len(targets)} tools are running"
        told = _conditions(status, snapshot, Running=(running, Reason.RUNNING, message))
        status = msgspec.structs.replace(told, phase="Running") if running else told
    look_again = _look_again(snapshot, targets)
    if _may_wait(run.status, status, snapshot):
        soon = (snapshot.last_written or _since(snapshot)) + QUIET
        return Plan(additions, look_again=min(filter(None, (look_again, soon))))
    writes = () if status == run.status else (WriteStatus(run=run, status=status),)
    return Plan((*writes, *additions), look_again=look_again)


def _since(snapshot: Snapshot) -> datetime:
    """Returns when the targets were frozen."""
    return parse_time(snapshot.request.run.status.started_at) or snapshot.now


def _limit(snapshot: Snapshot) -> datetime:
    """Returns the run's not-after: as written down, else as it would be written."""
    run = snapshot.request.run
    return parse_time(run.status.not_after) or not_after(run, _since(snapshot), snapshot)


def _seen(snapshot: Snapshot, target: Target) -> Target:
    """Returns where a target stands by its pod; a container of our name that is not ours is never taken for ours."""
    pod = snapshot.pods.get(target.pod_uid)
    if target.state in ENDED:
        return target
    if pod is not None and _is_squatted(snapshot, target, pod):
        message = f"the pod has a container {target.tool_container} with other content"
        return ended(target, "Failed", Reason.CONTAINER_NAME_TAKEN, message)
    return observe(
        target,
        pod,
        since=_since(snapshot),
        not_after=_limit(snapshot),
        now=snapshot.now,
        settings=snapshot.request.settings,
    )


def _is_squatted(snapshot: Snapshot, target: Target, pod: Pod) -> bool:
    """Tells whether the pod has a container of our name that we would not have added under the config as judged."""
    run, config = snapshot.request.run, snapshot.request.config
    container = find_container(pod, target.tool_container)
    if container is None or config is None or run.status.config is None:
        return False
    same_config = run.status.config.digest == snapshot.request.configs[0].readiness.digest
    return same_config and not is_ours(container, target, run, config)


def _advance(snapshot: Snapshot, targets: tuple[Target, ...]) -> tuple[tuple[Target, ...], tuple[Action, ...]]:
    """Ends the targets that can no longer start, checks those that are in, and adds the containers that are missing."""
    config = snapshot.request.config
    result = tuple(_settled(snapshot, target) for target in targets)
    waiting = any(_is_missing(snapshot, target) for target in result)
    if not waiting:
        return result, ()
    verdict = evaluate(RUN, snapshot.request)
    match verdict:
        case Denied(violations):
            return tuple(
                refused(target, violations[0]) if _is_missing(snapshot, target) else target for target in result
            ), ()
        case Allowed():
            assert config is not None
            result = tuple(
                _rechecked(snapshot, target) if _is_missing(snapshot, target) else target for target in result
            )
            return result, _additions(snapshot, config, result)
        case _:
            return result, ()


def _rechecked(snapshot: Snapshot, target: Target) -> Target:
    """Returns a Prepared target, or refused by the rules as they are now, for the container that was frozen."""
    run = snapshot.request.run
    frozen = msgspec.structs.replace(run.spec.targets, container=target.container)
    same_container = msgspec.structs.replace(run, spec=msgspec.structs.replace(run.spec, targets=frozen))
    request = msgspec.structs.replace(snapshot.request, run=same_container)
    (again,) = freeze(request, [snapshot.pods[target.pod_uid]])
    return again


def _settled(snapshot: Snapshot, target: Target) -> Target:
    """Returns a target that can no longer start as ended: refused by the API server, canceled, or too late."""
    run, pod = snapshot.request.run, snapshot.pods.get(target.pod_uid)
    if pod is None or not _is_missing(snapshot, target):
        return target
    if violation := snapshot.refusals.get(target.pod_uid):
        return ended(target, "Refused", violation.reason, violation.message)
    if run.spec.cancel:
        return refused(target, Violation(Reason.CANCELED, "the run was canceled before the tool was injected"))
    if pod.status.phase in ("Succeeded", "Failed") or pod.metadata.deletion_timestamp:
        return ended(target, "Gone", Reason.TARGET_DELETED, "the pod ended before the tool was injected")
    if snapshot.now >= _since(snapshot) + snapshot.request.settings.start_deadline:
        message = "the tool could not be injected within the start deadline"
        return ended(target, "Failed", Reason.START_DEADLINE_EXCEEDED, message)
    return target


def _is_missing(snapshot: Snapshot, target: Target) -> bool:
    pod = snapshot.pods.get(target.pod_uid)
    return target.state == "Prepared" and pod is not None and find_container(pod, target.tool_container) is None


def _additions(snapshot: Snapshot, config: PowerToolConfig, targets: Iterable[Target]) -> tuple[Action, ...]:
    """Returns one container for each Prepared target whose pod has none of ours and room for one more.

    Room is looked for in the pod itself: even two controllers that do not know of each other write to the pod in the
    version they saw, so the second one fails, looks again and finds the first one's tool.
    """
    run = snapshot.request.run
    own = config.spec.effective_limits.max_concurrent_per_pod
    actions = []
    for target in targets:
        if not _is_missing(snapshot, target):
            continue
        pod = snapshot.pods[target.pod_uid]
        holders = [rival for rival in snapshot.rivals if rival.holds and target.pod_uid in rival.pods]
        if len(live_tools(pod)) >= min([own, *(rival.max_concurrent for rival in holders)]):
            continue
        container = render(run, config, pod, target.container, _limit(snapshot), snapshot.request.settings)
        actions.append(
            AddEphemeralContainer(
                namespace=pod.metadata.namespace,
                pod=pod.metadata.name,
                pod_uid=pod.metadata.uid,
                resource_version=pod.metadata.resource_version,
                container=container,
                events=_injected(run, config, pod, container),
            )
        )
    return tuple(actions)


def _look_again(snapshot: Snapshot, targets: Iterable[Target]) -> datetime | None:
    since, limit, settings = _since(snapshot), _limit(snapshot), snapshot.request.settings
    deadlines = [
        since + settings.start_deadline
        if _is_missing(snapshot, target)
        else next_deadline(target, snapshot.pods.get(target.pod_uid), since=since, not_after=limit, settings=settings)
        for target in targets
    ]
    return min((deadline for deadline in deadlines if deadline is not None), default=None)


def _may_wait(old: PowerToolStatus, new: PowerToolStatus, snapshot: Snapshot) -> bool:
    """Tells whether a change is only progress and the last write so fresh that the next one may carry it.

    Three writes are what a short run costs: frozen, running, finished.
    """
    if old == new or _truth(old) != _truth(new):
        return False
    last = snapshot.last_written or parse_time(old.started_at)
    return last is not None and snapshot.now < last + QUIET


def _truth(status: PowerToolStatus) -> tuple[object, ...]:
    return (status.phase, *((condition.type, condition.status) for condition in status.conditions))


# The end


def _finish(
    snapshot: Snapshot, status: PowerToolStatus, targets: tuple[Target, ...], *, canceled: bool = False
) -> Plan:
    """Ends a run: Completed exactly when every target succeeded. This is its last write, ever."""
    run, now = snapshot.request.run, snapshot.now
    bad = [target for target in targets if target.state != "Succeeded"]
    artifacts, size = _artifacts(snapshot, targets)
    phase: Phase = "Completed" if targets and not bad else "Canceled" if run.spec.cancel or canceled else "Failed"
    match phase:
        case "Completed":
            reason, message = Reason.COMPLETED, f"all {len(targets)} targets succeeded"
        case "Canceled":
            reason = Reason.CANCELED
            message = f"canceled; {len(targets) - len(bad)} of {len(targets)} targets had succeeded"
        case _:
            reason = Reason.FAILED
            first = bad[0]
            message = (
                f"{len(bad)} of {len(targets)} targets failed: {first.pod}: {first.reason}: {first.message}"
            ).rstrip(": ")
    status = msgspec.structs.replace(
        _counted(status, targets),
        phase=phase,
        finished_at=format_time(now),
        artifacts=artifacts,
        bytes_written=size,
        last_error="" if phase == "Completed" else message[:1024],
    )
    status = _conditions(
        status,
        snapshot,
        Completed=(phase == "Completed", reason, message),
        Failed=(phase == "Failed", reason, message),
        Finished=(True, reason, message),
    )
    still: tuple[ConditionType, ...] = ("Running", "Conflicted")
    for kind in still:
        if is_true(status.conditions, kind):
            status = _conditions(status, snapshot, **{kind: (False, reason, message)})
    event = _event(run, "Normal" if phase == "Completed" else "Warning", reason, message)
    return Plan((WriteStatus(run=run, status=status), event))


def _artifacts(snapshot: Snapshot, targets: Iterable[Target]) -> tuple[tuple[Artifact, ...], int]:
    """Collects the files that the supervisors list; a total is kept even where the list is cut."""
    artifacts: list[Artifact] = []
    size = 0
    for target in targets:
        pod = snapshot.pods.get(target.pod_uid)
        status = find_status(pod, target.tool_container) if pod and target.tool_container else None
        end = status.state.terminated if status and status.state else None
        summary = parse_summary(end.message) if end else None
        if summary is not None:
            artifacts += summary.artifacts(target.pod)
            size += summary.bytes
    return tuple(artifacts[:MAX_ARTIFACTS]), size


# Parts of a status


def _status(run: PowerTool) -> PowerToolStatus:
    return msgspec.structs.replace(run.status, observed_generation=run.metadata.generation)


def _used(snapshot: Snapshot, config: PowerToolConfig) -> UsedConfig:
    readiness = snapshot.request.configs[0].readiness
    return UsedConfig(
        name=config.metadata.name,
        uid=config.metadata.uid,
        generation=config.metadata.generation,
        digest=readiness.digest,
        tier=readiness.tier,
    )


def _counted(status: PowerToolStatus, targets: tuple[Target, ...]) -> PowerToolStatus:
    return msgspec.structs.replace(
        status,
        targets=targets,
        selected_pods=len(targets),
        completed_pods=sum(target.state == "Succeeded" for target in targets),
        failed_pods=sum(target.state in ("Failed", "Refused", "Gone") for target in targets),
    )


def _conditions(status: PowerToolStatus, snapshot: Snapshot, **conditions: tuple[bool, Reason, str]) -> PowerToolStatus:
    kept = status.conditions
    for kind, (true, reason, message) in conditions.items():
        kept = with_condition(
            kept,
            kind,  # type: ignore[arg-type]  # keyword names are the condition types
            true=true,
            reason=reason,
            message=message,
            now=snapshot.now,
            generation=snapshot.request.run.metadata.generation,
        )
    return msgspec.structs.replace(status, conditions=kept)


def _selected(targets: tuple[Target, ...], config: PowerToolConfig) -> str:
    refusals = sum(target.state == "Refused" for target in targets)
    pods = f"{len(targets)} pod{'s' if len(targets) != 1 else ''} selected for {config.spec.name}"
    return f"{pods}, {refusals} refused" if refusals else pods


# Events


def _event(run: PowerTool, kind: str, reason: Reason, message: str) -> RecordEvent:
    return RecordEvent(
        regarding=ObjectReference(
            api_version=API_VERSION,
            kind=KIND,
            namespace=run.metadata.namespace,
            name=run.metadata.name,
            uid=run.metadata.uid,
        ),
        type="Normal" if kind == "Normal" else "Warning",
        reason=reason,
        message=message,
    )


def _injected(run: PowerTool, config: PowerToolConfig, pod: Pod, container: ToolContainer) -> tuple[RecordEvent, ...]:
    security = container.security_context
    who = (
        "privileged" if security.privileged else f"as uid {security.run_as_user}" if security.run_as_user else "as root"
    )
    capabilities = ", ".join(sorted(added(config.spec.effective_security))) or "no capability"
    where = f"{pod.metadata.name} (container {container.target_container_name})"
    what = f"{config.spec.name} into {where} {who} with {capabilities}"
    on_pod = RecordEvent(
        regarding=ObjectReference(
            api_version="v1", kind="Pod", namespace=pod.metadata.namespace, name=pod.metadata.name, uid=pod.metadata.uid
        ),
        type="Normal",
        reason=Reason.TOOL_INJECTED,
        message=f"PowerTool {run.metadata.name} put {what}",
    )
    return (_event(run, "Normal", Reason.INJECTED, what), on_pod)
