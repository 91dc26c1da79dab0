"""The administrator has not suspended the tool.

Why: ``spec.suspended`` is the kill switch. It can be lifted, so the run waits.
"""

from toe.api.reasons import Reason
from toe.policy.request import Request
from toe.policy.verdict import Unmet


def check(request: Request) -> tuple[Unmet, ...]:
    """Accepts a tool that is not suspended."""
    config = request.config
    if config is None or not config.spec.suspended:
        return ()
    return (Unmet(Reason.TOOL_SUSPENDED, f"the administrator suspended the tool {config.spec.name}"),)
