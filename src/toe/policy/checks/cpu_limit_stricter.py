"""A user's CPU limit is not above the administrator's.

Why: ``tool.maxCPUPercent`` exists to be gentler with a busy target, never to take more.
"""

from toe.api.reasons import Reason
from toe.policy.request import Request
from toe.policy.verdict import Violation


def check(request: Request) -> tuple[Violation, ...]:
    """Accepts no limit, or one at or below the config's."""
    config, wanted = request.config, request.run.spec.tool.max_cpu_percent
    if config is None or wanted is None:
        return ()
    most = config.spec.effective_limits.cpu_percent
    if most is None or wanted <= most:
        return ()
    message = f"{wanted} is above the {most} that {config.spec.name} permits: a user may only be stricter"
    return (Violation(Reason.LIMIT_NOT_ALLOWED, message, "spec.tool.maxCPUPercent"),)
