"""A namespace keeps no more than its quota, and all of them together no more than theirs.

Why: one team's dumps must not take the room of all others. ``--quota-namespace`` and ``--quota-total``.
"""

from toe.api.quantity import format_bytes
from toe.api.reasons import Reason
from toe.policy.upload import UploadRequest
from toe.policy.verdict import Violation


def check(request: UploadRequest) -> tuple[Violation, ...]:
    """Accepts up to the very quota, and whatever adds nothing."""
    found = []
    for whose, used, quota in (
        ("the namespace's", request.namespace_used, request.namespace_quota),
        ("the collector's", request.total_used, request.total_quota),
    ):
        if request.size and quota is not None and used + request.size > quota:
            found.append(Violation(Reason.QUOTA_EXCEEDED, f"{whose} quota is {format_bytes(quota)}"))
    return tuple(found)
