"""The end of a run: its last write, ever."""

from collections.abc import Iterable

import msgspec

from toe.api.artifact import Artifact
from toe.api.powertool import Phase, PowerToolStatus, Target
from toe.api.reasons import Reason
from toe.api.time import format_time
from toe.plan.actions import Plan, WriteStatus
from toe.plan.announcements import event_on
from toe.plan.conditions import ConditionType, is_true
from toe.plan.snapshot import Snapshot
from toe.plan.status import counted, with_conditions
from toe.plan.summary import parse_summary
from toe.plan.targets import find_status

MAX_ARTIFACTS = 1000


def finish(snapshot: Snapshot, status: PowerToolStatus, targets: tuple[Target, ...], *, canceled: bool = False) -> Plan:
    """Ends a run: Completed exactly when every target succeeded. This is its last write, ever."""
    run, now = snapshot.request.run, snapshot.now
    bad = [target for target in targets if target.state != "Succeeded"]
    artifacts, size = _artifacts(snapshot, targets)
    phase: Phase = "Completed" if targets and not bad else "Canceled" if run.spec.cancel or canceled else "Failed"
    match phase:
        case "Completed":
            reason = Reason.COMPLETED
            message = "the target succeeded" if len(targets) == 1 else f"all {len(targets)} targets succeeded"
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
        counted(status, targets),
        phase=phase,
        finished_at=format_time(now),
        artifacts=artifacts,
        bytes_written=size,
        last_error="" if phase == "Completed" else message[:1024],
    )
    status = with_conditions(
        status,
        snapshot,
        Completed=(phase == "Completed", reason, message),
        Failed=(phase == "Failed", reason, message),
        Finished=(True, reason, message),
    )
    still: tuple[ConditionType, ...] = ("Running", "Conflicted")
    for kind in still:
        if is_true(status.conditions, kind):
            status = with_conditions(status, snapshot, **{kind: (False, reason, message)})
    event = event_on(run, "Normal" if phase == "Completed" else "Warning", reason, message)
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
