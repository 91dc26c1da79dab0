"""The next step of a PowerToolConfig: its status, for people. Nothing is ever decided from it."""

import msgspec

from toe.api.meta import API_VERSION, ObjectReference
from toe.api.powertoolconfig import KIND, PowerToolConfig, PowerToolConfigStatus
from toe.api.reasons import Reason
from toe.plan.actions import Action, EventType, Plan, RecordEvent, WriteConfigStatus
from toe.plan.conditions import with_condition
from toe.plan.snapshot import ConfigSnapshot


def plan_config(snapshot: ConfigSnapshot) -> Plan:
    """Returns the status to write and the events to tell; nothing when the status says it all already."""
    config, readiness = snapshot.config, snapshot.readiness
    reason, message = _verdict(snapshot)
    status = msgspec.structs.replace(
        config.status,
        observed_generation=config.metadata.generation,
        conditions=with_condition(
            config.status.conditions,
            "Ready",
            true=reason is Reason.VALID,
            reason=reason,
            message=message,
            now=snapshot.now,
            generation=config.metadata.generation,
        ),
        tier=readiness.tier,
        reach=readiness.reach,
        pod_security_level=readiness.pod_security_level,
        output_modes=readiness.output_modes,
        collector=readiness.collector,
        digest=readiness.digest,
        findings=readiness.findings,
    )
    if status == config.status:
        return Plan()
    return Plan((WriteConfigStatus(config=config, status=status), *_events(config, status, reason, message)))


def _verdict(snapshot: ConfigSnapshot) -> tuple[Reason, str]:
    violations = snapshot.readiness.violations
    if violations:
        return violations[0].reason, "; ".join(str(violation) for violation in violations)
    others = [name for name in snapshot.holders if name != snapshot.config.metadata.name]
    if others:
        name = snapshot.config.spec.name
        message = f"the tool name {name} is also held by {', '.join(sorted(others))}: none of them is used"
        return Reason.AMBIGUOUS_TOOL, message
    return Reason.VALID, "PowerToolConfig is valid and ready for use"


def _events(config: PowerToolConfig, status: PowerToolConfigStatus, reason: Reason, message: str) -> tuple[Action, ...]:
    regarding = ObjectReference(
        api_version=API_VERSION,
        kind=KIND,
        namespace=config.metadata.namespace,
        name=config.metadata.name,
        uid=config.metadata.uid,
    )
    events: list[Action] = []
    before = config.status
    if before.conditions != status.conditions:
        kind: EventType = "Normal" if reason is Reason.VALID else "Warning"
        events.append(RecordEvent(regarding=regarding, type=kind, reason=reason, message=message))
    if before.digest and before.digest != status.digest:
        change = (
            f"changed from {_face(before)} to {_face(status)}; digest {before.digest[:19]} is now {status.digest[:19]}"
        )
        events.append(RecordEvent(regarding=regarding, type="Warning", reason=Reason.SECURITY_CHANGED, message=change))
    return tuple(events)


def _face(status: PowerToolConfigStatus) -> str:
    return f"tier {status.tier}, reach {'+'.join(status.reach) or 'none'}, level {status.pod_security_level}"
