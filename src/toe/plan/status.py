"""The parts of a run's status: what is written, and how it is counted."""

import msgspec

from toe.api.powertool import PowerTool, PowerToolStatus, Target, UsedConfig
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.reasons import Reason
from toe.plan.conditions import with_condition
from toe.plan.snapshot import Snapshot


def current(run: PowerTool) -> PowerToolStatus:
    """Returns the status of a run as of its present generation."""
    return msgspec.structs.replace(run.status, observed_generation=run.metadata.generation)


def used(snapshot: Snapshot, config: PowerToolConfig) -> UsedConfig:
    """Returns the config as it was judged: which one, in which state."""
    readiness = snapshot.request.configs[0].readiness
    return UsedConfig(
        name=config.metadata.name,
        uid=config.metadata.uid,
        generation=config.metadata.generation,
        digest=readiness.digest,
        tier=readiness.tier,
    )


def counted(status: PowerToolStatus, targets: tuple[Target, ...]) -> PowerToolStatus:
    """Returns the status with its targets, and counted by where they stand."""
    return msgspec.structs.replace(
        status,
        targets=targets,
        selected_pods=len(targets),
        completed_pods=sum(target.state == "Succeeded" for target in targets),
        failed_pods=sum(target.state in ("Failed", "Refused", "Gone") for target in targets),
    )


def with_conditions(
    status: PowerToolStatus, snapshot: Snapshot, **conditions: tuple[bool, Reason, str]
) -> PowerToolStatus:
    """Returns the status with conditions set: each a truth, a reason and a message for people."""
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


def selected(targets: tuple[Target, ...], config: PowerToolConfig) -> str:
    """Says how many pods a run has for its tool, and how many of them were refused."""
    refusals = sum(target.state == "Refused" for target in targets)
    pods = f"{len(targets)} pod{'s' if len(targets) != 1 else ''} selected for {config.spec.name}"
    return f"{pods}, {refusals} refused" if refusals else pods
