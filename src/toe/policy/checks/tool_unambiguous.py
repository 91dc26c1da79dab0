"""One config holds the tool's name.

Why: with two of them the order of look-up would decide over privileges. Every holder of the name is unusable then,
never the first one found. The administrator can mend it, so the run waits.
"""

from toe.api.reasons import Reason
from toe.policy.request import Request
from toe.policy.verdict import Unmet


def check(request: Request) -> tuple[Unmet, ...]:
    """Accepts one holder of the name."""
    if len(request.configs) < 2:
        return ()
    holders = ", ".join(sorted(judged.config.metadata.name for judged in request.configs))
    name = request.run.spec.tool.name
    message = f"{len(request.configs)} PowerToolConfigs hold the tool name {name}: {holders}; none of them is used"
    return (Unmet(Reason.AMBIGUOUS_TOOL, message),)
