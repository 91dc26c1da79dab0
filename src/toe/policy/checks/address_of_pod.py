"""Where addresses are compared, files come from the pod that the ticket is for.

Why: a ticket can be read by whoever may read the pod. Off by default: not every network shows the pod's own address. A
ticket that names no address is good from none.
"""

from toe.api.reasons import Reason
from toe.policy.upload import UploadRequest
from toe.policy.verdict import Violation


def check(request: UploadRequest) -> tuple[Violation, ...]:
    """Accepts the addresses in the ticket, or any where nobody compares."""
    if request.pod_addresses is None or request.peer in request.pod_addresses:
        return ()
    return (Violation(Reason.ADDRESS_FOREIGN, "this is not the address of the ticket's pod"),)
