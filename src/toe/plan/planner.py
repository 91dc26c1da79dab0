"""The whole next step of a run.

::

    begin:     judge -> Denied: Failed at once
                     -> Undecided: wait until the start deadline
                     -> taken by another run: Conflicted, wait
                     -> Allowed: freeze the targets, write that down, add one container to each
    progress:  look at each frozen target; add what is missing; finish when all have ended

A plan is a pure function of its snapshot: a repeated snapshot gives the same plan, whoever makes it.
"""

import msgspec

from toe.api.powertool import Phase
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.reasons import Reason
from toe.api.time import format_duration, format_time, parse_time
from toe.plan.actions import Plan, WriteStatus
from toe.plan.announcements import event_on
from toe.plan.conditions import is_true
from toe.plan.conflict import find_conflict, unless_known
from toe.plan.deadlines import not_after
from toe.plan.ending import finish
from toe.plan.progress import missing_containers, next_look, progress
from toe.plan.snapshot import Snapshot
from toe.plan.status import counted, current, selected, used, with_conditions
from toe.plan.summary import printable
from toe.plan.targets import freeze
from toe.policy.chains import RUN, evaluate
from toe.policy.verdict import Allowed, Denied


def plan(snapshot: Snapshot) -> Plan:
    """Returns the next step of a run; nothing for one that is finished or going."""
    run = snapshot.request.run
    if run.status.is_finished or run.metadata.deletion_timestamp:
        return Plan()
    return progress(snapshot) if run.status.is_frozen else _begin(snapshot)


def _begin(snapshot: Snapshot) -> Plan:
    request, run = snapshot.request, snapshot.request.run
    if run.spec.cancel:
        return finish(snapshot, current(run), (), canceled=True)
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
    if conflict := find_conflict(
        snapshot, config, [pods[uid] for uid in sorted(prepared, key=lambda u: pods[u].metadata.name)]
    ):
        return _wait(snapshot, "Conflicted", Reason.CONFLICT_DETECTED, unless_known(run, conflict))
    status = msgspec.structs.replace(
        current(run),
        phase="Pending",
        config=used(snapshot, config),
        started_at=format_time(now),
        not_after=format_time(not_after(run, now, snapshot)),
        collector=_leases(snapshot, config),
    )
    status = with_conditions(status, snapshot, Accepted=(True, Reason.ACCEPTED, selected(targets, config)))
    if is_true(status.conditions, "Conflicted"):
        status = with_conditions(status, snapshot, Conflicted=(False, Reason.CONFLICT_RESOLVED, "all pods are free"))
    if not prepared:
        return finish(snapshot, status, targets)
    frozen = msgspec.structs.replace(run, status=counted(status, targets))
    after = msgspec.structs.replace(
        snapshot, request=msgspec.structs.replace(snapshot.request, run=frozen), pods=pods, matching=()
    )
    additions = missing_containers(after, config, targets)
    write = WriteStatus(run=run, status=frozen.status)
    accepted = event_on(run, "Normal", Reason.ACCEPTED, selected(targets, config))
    return Plan((write, accepted, *additions), look_again=next_look(after, targets))


def _leases(snapshot: Snapshot, config: PowerToolConfig) -> str:
    """Returns where the tools of a run hold their leases; empty where they hold none."""
    return snapshot.request.settings.collector if config.spec.is_supervised else ""


def _wait(snapshot: Snapshot, phase: Phase, reason: Reason, message: str) -> Plan:
    """Keeps a run waiting, visibly, until its start deadline."""
    run, settings = snapshot.request.run, snapshot.request.settings
    created = parse_time(run.metadata.creation_timestamp) or snapshot.now
    deadline = created + settings.start_deadline
    if snapshot.now >= deadline:
        waited = format_duration(settings.start_deadline)
        return _fail(snapshot, reason, f"waited {waited} in vain: {message}", waited=True)
    status = msgspec.structs.replace(current(run), phase=phase)
    status = with_conditions(status, snapshot, Accepted=(False, reason, message))
    if phase == "Conflicted" or is_true(run.status.conditions, "Conflicted"):
        status = with_conditions(status, snapshot, Conflicted=(phase == "Conflicted", reason, message))
    if status == run.status:
        return Plan(look_again=deadline)
    event = event_on(run, "Warning", reason, message)
    return Plan((WriteStatus(run=run, status=status), event), look_again=deadline)


def _fail(snapshot: Snapshot, reason: Reason, message: str, *, waited: bool = False) -> Plan:
    """Ends a run that never started: nothing was injected, nothing will be."""
    run = snapshot.request.run
    config = snapshot.request.config
    status = msgspec.structs.replace(
        current(run),
        phase="Failed",
        config=used(snapshot, config) if config else None,
        finished_at=format_time(snapshot.now),
        last_error=message[:1024],
    )
    failed = Reason.START_DEADLINE_EXCEEDED if waited else reason
    status = with_conditions(
        status,
        snapshot,
        Accepted=(False, reason, message),
        Completed=(False, failed, message),
        Failed=(True, failed, message),
        Finished=(True, Reason.FAILED, message),
    )
    if is_true(status.conditions, "Conflicted"):
        status = with_conditions(status, snapshot, Conflicted=(False, failed, message))
    return Plan((WriteStatus(run=run, status=status), event_on(run, "Warning", failed, message)))
