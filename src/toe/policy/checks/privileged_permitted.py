"""A privileged tool runs only where the platform said so.

Why: a privileged container is root on the node, and everybody with ``pods/exec`` in the namespace can enter it. The
namespace carries the label ``toe.run/allow-privileged-tools: "true"``. A namespace not known yet keeps the run waiting.
"""

from toe.api.reasons import Reason
from toe.policy.request import Request
from toe.policy.verdict import Unmet, Violation

LABEL = "toe.run/allow-privileged-tools"
MESSAGE = "Privileged containers are not allowed"


def check(request: Request) -> tuple[Unmet | Violation, ...]:
    """Accepts a tool that is not privileged, or a namespace that is labelled for it."""
    config = request.config
    if config is None or not config.spec.effective_security.allow_privileged:
        return ()
    if request.namespace_labels is None:
        return (
            Unmet(Reason.PRIVILEGED_NOT_ALLOWED, f"the namespace {request.run.metadata.namespace} is not known yet"),
        )
    if request.namespace_labels.get(LABEL) == "true":
        return ()
    return (Violation(Reason.PRIVILEGED_NOT_ALLOWED, MESSAGE),)
