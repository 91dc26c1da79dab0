"""The API server's fence around the operator is in force.

Why: the promise that nothing but an administrator's tool is injected must not rest on the operator alone. Where the
fence is expected and is not there, or lets a request pass that it must refuse, the run waits.
"""

from toe.api.reasons import Reason
from toe.policy.request import Request
from toe.policy.verdict import Unmet


def check(request: Request) -> tuple[Unmet, ...]:
    """Accepts a fence in force, or a place where none is expected (offline, and the command line)."""
    if not request.fence_missing:
        return ()
    return (Unmet(Reason.FENCE_NOT_IN_FORCE, f"the fence is not in force: {request.fence_missing}"),)
