"""A ticket is good until it expires, and not a moment longer.

Why: it stands in the pod's spec, which outlives the run. Its time is the run's not-after and the upload allowance.
"""

from toe.api.reasons import Reason
from toe.api.time import format_time
from toe.policy.upload import UploadRequest
from toe.policy.verdict import Violation


def check(request: UploadRequest) -> tuple[Violation, ...]:
    """Accepts a moment before its end."""
    if request.now < request.expires:
        return ()
    return (Violation(Reason.RUN_OVER, f"the ticket was good until {format_time(request.expires)}"),)
