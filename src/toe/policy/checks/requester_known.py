"""The run says who asked for it, and recently enough.

Why: rights are asked with the identity that admission stamped. A run without a stamp came past admission, and nobody
can answer for it; a stamp of yesterday may speak of groups that the requester has left.
"""

from toe.api.reasons import Reason
from toe.api.time import format_duration, parse_time
from toe.policy.request import Request
from toe.policy.verdict import Violation


def check(request: Request) -> tuple[Violation, ...]:
    """Accepts a run with a stamp that is younger than the setting, or one that was started with it already."""
    run = request.run
    if run.spec.requester is None:
        message = "nobody is named as the requester: the run came past admission"
        return (Violation(Reason.UNATTRIBUTED, message, "spec.requester"),)
    created = parse_time(run.metadata.creation_timestamp)
    if run.status.is_frozen or created is None or request.now is None:
        return ()
    if request.now <= created + request.settings.stamp_age:
        return ()
    age = format_duration(request.settings.stamp_age)
    message = f"the requester was stamped more than {age} ago: create the run again"
    return (Violation(Reason.STAMP_EXPIRED, message, "spec.requester"),)
