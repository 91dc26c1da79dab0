"""The volumes keep some room, whatever comes.

Why: a full disk takes the records and receipts with it, and everybody else on that disk. ``--low-water``.
"""

from toe.api.quantity import format_bytes
from toe.api.reasons import Reason
from toe.policy.upload import UploadRequest
from toe.policy.verdict import Violation


def check(request: UploadRequest) -> tuple[Violation, ...]:
    """Accepts what leaves the low-water mark free, and whatever adds nothing."""
    if not request.size or request.free is None or request.free - request.size >= request.low_water:
        return ()
    return (Violation(Reason.STORE_FULL, f"{format_bytes(request.low_water)} of the store stay free"),)
