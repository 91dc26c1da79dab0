"""The duration is real and within the tool's limit.

Why: nothing can stop an ephemeral container from outside; a run that states its end is the only one that ends. At least
1 s; warmup and duration together at most ``limits.maxDuration``.
"""

from datetime import timedelta

from toe.api.powertoolconfig import Limits
from toe.api.reasons import Reason
from toe.api.time import format_duration, parse_duration
from toe.policy.request import Request
from toe.policy.verdict import Violation

_SECOND = timedelta(seconds=1)


def check(request: Request) -> tuple[Violation, ...]:
    """Accepts Go durations of at least 1 s whose sum is within the limit."""
    tool = request.run.spec.tool
    durations = [("spec.tool.duration", tool.duration)]
    if tool.warmup is not None:
        durations.append(("spec.tool.warmup", tool.warmup))
    found: list[Violation] = []
    total = timedelta()
    for field, text in durations:
        parsed = parse_duration(text)
        if parsed is None or parsed < _SECOND:
            message = f"must be a Go duration of at least 1s such as 90s or 2m30s, not {text!r}"
            found.append(Violation(Reason.DURATION_NOT_ALLOWED, message, field))
        else:
            total += parsed
    config = request.config
    if found or config is None:
        return tuple(found)
    most = parse_duration(config.spec.effective_limits.max_duration) or parse_duration(Limits().max_duration)
    assert most is not None
    if total <= most:
        return ()
    message = f"{format_duration(total)} is longer than the {format_duration(most)} that {config.spec.name} permits"
    return (Violation(Reason.DURATION_NOT_ALLOWED, message, "spec.tool.duration"),)
