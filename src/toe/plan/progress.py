"""Progress: the targets are frozen; look at each, add what is missing, finish when all have ended."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from toe.api.pod import Pod
from toe.api.powertool import PowerToolStatus, Target
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.reasons import Reason
from toe.api.time import parse_time
from toe.plan.actions import Action, AddEphemeralContainer, Plan, WriteStatus
from toe.plan.announcements import injected, ticket_stolen
from toe.plan.conditions import is_true
from toe.plan.container import render, ticket
from toe.plan.deadlines import limit_of, start_of
from toe.plan.ending import finish
from toe.plan.snapshot import Snapshot
from toe.plan.status import counted, current, with_conditions
from toe.plan.targets import ENDED, ended, find_container, freeze, is_ours, live_tools, next_deadline, observe, refused
from toe.policy.chains import RUN, evaluate
from toe.policy.verdict import Allowed, Denied, Violation

QUIET = timedelta(seconds=2)
"""Progress that changes no condition is written at most this often."""


def progress(snapshot: Snapshot) -> Plan:
    """Returns the next step of a run whose targets are frozen."""
    run = snapshot.request.run
    targets, additions = _advance(snapshot, tuple(_seen(snapshot, target) for target in run.status.targets))
    stolen = tuple(
        event
        for before, target in zip(run.status.targets, targets, strict=True)
        if target.reason == Reason.TICKET_CLAIMED and before.state not in ENDED
        for event in ticket_stolen(run, target)
    )
    if all(target.state in ENDED for target in targets):
        last = finish(snapshot, current(run), targets)
        return msgspec.structs.replace(last, actions=(*last.actions, *stolen))
    status = counted(current(run), targets)
    running = any(target.state == "Running" for target in targets)
    if running or is_true(status.conditions, "Running"):
        message = f"{sum(t.state == 'Running' for t in targets)} of {len(targets)} tools are running"
        told = with_conditions(status, snapshot, Running=(running, Reason.RUNNING, message))
        status = msgspec.structs.replace(told, phase="Running") if running else told
    look_again = next_look(snapshot, targets)
    if not stolen and _may_wait(run.status, status, snapshot):
        soon = (snapshot.last_written or start_of(snapshot)) + QUIET
        return Plan(additions, look_again=min(filter(None, (look_again, soon))))
    writes = () if status == run.status else (WriteStatus(run=run, status=status),)
    return Plan((*writes, *stolen, *additions), look_again=look_again)


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
        since=start_of(snapshot),
        not_after=limit_of(snapshot),
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
            return result, missing_containers(snapshot, config, result)
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
    if snapshot.now >= start_of(snapshot) + snapshot.request.settings.start_deadline:
        message = "the tool could not be injected within the start deadline"
        return ended(target, "Failed", Reason.START_DEADLINE_EXCEEDED, message)
    return target


def _is_missing(snapshot: Snapshot, target: Target) -> bool:
    pod = snapshot.pods.get(target.pod_uid)
    return target.state == "Prepared" and pod is not None and find_container(pod, target.tool_container) is None


def missing_containers(snapshot: Snapshot, config: PowerToolConfig, targets: Iterable[Target]) -> tuple[Action, ...]:
    """Returns one container for each Prepared target whose pod has none of ours and room for one more.

    Room is looked for in the pod itself: even two controllers that do not know of each other write to the pod in the
    version they saw, so the second one fails, looks again and finds the first one's tool.
    """
    run = snapshot.request.run
    own = config.spec.effective_limits.max_concurrent_per_pod
    limit, settings = limit_of(snapshot), snapshot.request.settings
    actions = []
    for target in targets:
        if not _is_missing(snapshot, target):
            continue
        pod = snapshot.pods[target.pod_uid]
        holders = [rival for rival in snapshot.rivals if rival.holds and target.pod_uid in rival.pods]
        if len(live_tools(pod)) >= min([own, *(rival.max_concurrent for rival in holders)]):
            continue
        container = render(run, config, pod, target.container, limit, settings)
        actions.append(
            AddEphemeralContainer(
                namespace=pod.metadata.namespace,
                pod=pod.metadata.name,
                pod_uid=pod.metadata.uid,
                resource_version=pod.metadata.resource_version,
                container=container,
                ticket=ticket(run, config, pod, target.container, limit, settings),
                events=injected(run, config, pod, container),
            )
        )
    return tuple(actions)


def next_look(snapshot: Snapshot, targets: Iterable[Target]) -> datetime | None:
    """Returns when time alone may change something about the targets; None when never."""
    since, limit, settings = start_of(snapshot), limit_of(snapshot), snapshot.request.settings
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
