"""The requester holds the right to use the tool.

Why: creating a PowerTool alone must not hand out a dangerous tool. From tier High on (a setting) the requester needs
the verb ``use`` on the tool; for tier Extreme it is asked in the system namespace. A right that was not answered is no
right, and no refusal either: the run waits.
"""

from toe.api.reasons import Reason
from toe.policy.access import use_of
from toe.policy.request import Request
from toe.policy.verdict import Unmet, Violation


def check(request: Request) -> tuple[Unmet | Violation, ...]:
    """Accepts a tool below the setting's tier, or a requester with the right."""
    requester = request.run.spec.requester
    if len(request.configs) != 1 or requester is None:
        return ()
    judged = request.configs[0]
    right = use_of(judged.config.spec.name, judged.readiness.tier, request.run.metadata.namespace, request.settings)
    if right is None:
        return ()
    match request.access.get(right):
        case True:
            return ()
        case None:
            return (Unmet(Reason.ACCESS_UNKNOWN, f"whether {requester.username} may use the tool is not known yet"),)
        case _:
            message = f"{requester.username} may not use {judged.config.spec.name} here; ask for: {right}"
            return (Violation(Reason.USE_NOT_GRANTED, message),)
