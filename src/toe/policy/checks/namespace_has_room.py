"""Not more runs of a namespace hold pods at the same time than the operator's settings say.

Why: who may create runs may create thousands. Each keeps a tool in somebody's pods and a place in every reader's list;
those beyond ``max_active_runs`` wait, and start by themselves when others have ended.
"""

from toe.api.reasons import Reason
from toe.policy.request import Request
from toe.policy.verdict import Unmet


def check(request: Request) -> tuple[Unmet, ...]:
    """Accepts a run while there is a place for it; None (nobody looked) is accepted at admission."""
    most = request.settings.max_active_runs
    if request.active is None or request.active < most:
        return ()
    where = request.run.metadata.namespace
    return (Unmet(Reason.NAMESPACE_BUSY, f"{most} runs of {where} hold pods already: it waits its turn"),)
