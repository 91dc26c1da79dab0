"""The config is valid.

Why: a config with an unknown capability or a contradiction would run with something else than what was meant. The
administrator can mend it, so the run waits.
"""

from toe.api.reasons import Reason
from toe.policy.request import Request
from toe.policy.verdict import Unmet


def check(request: Request) -> tuple[Unmet, ...]:
    """Accepts a config in which nothing is violated."""
    if len(request.configs) != 1 or request.configs[0].readiness.is_ready:
        return ()
    judged = request.configs[0]
    causes = "; ".join(str(violation) for violation in judged.readiness.violations)
    return (Unmet(Reason.TOOL_NOT_READY, f"PowerToolConfig {judged.config.metadata.name} is not valid: {causes}"),)
