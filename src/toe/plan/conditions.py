"""Conditions: Kubernetes' own type, with observedGeneration, changed only when their truth changes."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from toe.api.meta import Condition
from toe.api.time import format_time

ConditionType = Literal["Accepted", "Running", "Completed", "Failed", "Conflicted", "Finished", "Ready", "Current"]
LONGEST_MESSAGE = 32768
"""Characters of a condition's message (metav1.Condition)."""

_ORDER = ("Accepted", "Conflicted", "Running", "Completed", "Failed", "Finished", "Ready", "Current")


def with_condition(
    conditions: Iterable[Condition],
    kind: ConditionType,
    *,
    true: bool,
    reason: str,
    message: str,
    now: datetime,
    generation: int,
) -> tuple[Condition, ...]:
    """Returns the conditions with one set; its transition time moves only when its status changes."""
    status: Literal["True", "False"] = "True" if true else "False"
    kept = {condition.type: condition for condition in conditions}
    before = kept.get(kind)
    since = before.last_transition_time if before and before.status == status else format_time(now)
    kept[kind] = Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message[:LONGEST_MESSAGE],
        last_transition_time=since,
        observed_generation=generation,
    )
    return tuple(sorted(kept.values(), key=lambda condition: _ORDER.index(condition.type)))


def is_true(conditions: Iterable[Condition], kind: ConditionType) -> bool:
    """Tells whether a condition is there and True."""
    return any(condition.type == kind and condition.status == "True" for condition in conditions)
