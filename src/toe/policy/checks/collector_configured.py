"""The collector is the administrator's.

Why: an address from a user would be handed a ticket and the files. ``output.collector.endpoint`` may only repeat what
the operator is configured with; where it is configured with none, no run can use the mode.
"""

from toe.api.reasons import Reason
from toe.policy.request import Request
from toe.policy.verdict import Violation


def check(request: Request) -> tuple[Violation, ...]:
    """Accepts the mode collector where there is one, and no other address than its own."""
    output, configured = request.run.spec.output, request.settings.collector
    if output.mode != "collector":
        return ()
    if not configured:
        message = "no collector is installed here: leave the mode out, results then leave through the container's log"
        return (Violation(Reason.OUTPUT_NOT_ALLOWED, message, "spec.output.mode"),)
    endpoint = output.collector.endpoint if output.collector else None
    if endpoint in (None, configured):
        return ()
    message = f"the collector's address is the administrator's: leave it out, or write {configured}"
    return (Violation(Reason.OUTPUT_NOT_ALLOWED, message, "spec.output.collector.endpoint"),)
