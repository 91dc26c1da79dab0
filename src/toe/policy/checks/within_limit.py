"""A ticket brings no more bytes and no more files than it says.

Why: a target that is taken over must not fill the store. The bytes are the tool's ``maxArtifactBytes``, and at most
1,000 files; a run that only holds a lease brings none.
"""

from toe.api.quantity import format_bytes
from toe.api.reasons import Reason
from toe.policy.upload import MOST_FILES, UploadRequest
from toe.policy.verdict import Violation


def check(request: UploadRequest) -> tuple[Violation, ...]:
    """Accepts up to the very limit."""
    if request.files and not request.max_bytes:
        return (Violation(Reason.TOO_LARGE, "this run keeps no files at the collector"),)
    if request.received + request.size > request.max_bytes:
        return (Violation(Reason.TOO_LARGE, f"the ticket is for {format_bytes(request.max_bytes)} in all"),)
    if request.files > MOST_FILES:
        return (Violation(Reason.TOO_LARGE, f"the ticket is for {MOST_FILES} files"),)
    return ()
