"""The requester could enter the target himself.

Why: a tool that reads the target's memory, traffic or node is worth as much as ``kubectl exec``. Where the setting says
refuse, whoever may not do that may not have it done for him.
"""

from toe.api.reasons import Reason
from toe.policy.access import entry_to
from toe.policy.request import Request
from toe.policy.verdict import Unmet, Violation


def check(request: Request) -> tuple[Unmet | Violation, ...]:
    """Accepts a tool without reach, another setting, or a requester with the right."""
    requester = request.run.spec.requester
    if request.settings.require_target_access != "refuse" or len(request.configs) != 1 or requester is None:
        return ()
    reach = request.configs[0].readiness.reach
    if not reach:
        return ()
    right = entry_to(request.run.metadata.namespace)
    match request.access.get(right):
        case True:
            return ()
        case None:
            return (
                Unmet(Reason.ACCESS_UNKNOWN, f"whether {requester.username} may enter the target is not known yet"),
            )
        case _:
            name = request.configs[0].config.spec.name
            message = (
                f"{name} reaches {', '.join(reach)}, and {requester.username} may not exec there; ask for: {right}"
            )
            return (Violation(Reason.TARGET_ACCESS_DENIED, message),)
