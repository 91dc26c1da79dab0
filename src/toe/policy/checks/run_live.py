"""Files are kept of a run that is there and not over.

Why: who deletes a run wants nothing more of it, and what is finished has said all. A run that was canceled, or whose
tool was suspended, still gives back what its tool had made.
"""

from toe.api.reasons import Reason
from toe.policy.upload import UploadRequest
from toe.policy.verdict import Violation


def check(request: UploadRequest) -> tuple[Violation, ...]:
    """Accepts the run of this very UID, not being deleted and not finished."""
    run = request.run
    if run is None or run.metadata.uid != request.run_uid or run.metadata.deletion_timestamp:
        return (Violation(Reason.RUN_OVER, "the run was deleted"),)
    if run.status.is_finished:
        return (Violation(Reason.RUN_OVER, "the run is finished"),)
    return ()
