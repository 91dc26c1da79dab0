"""The run is not in a protected namespace.

Why: a tool in ``kube-system`` or beside the operator is a tool in the control plane. No config can open these.
"""

from toe.api.reasons import Reason
from toe.policy.request import Request
from toe.policy.verdict import Violation


def check(request: Request) -> tuple[Violation, ...]:
    """Accepts every namespace but the protected ones."""
    namespace = request.run.metadata.namespace
    if namespace not in request.settings.protected_namespaces:
        return ()
    message = f"no tool runs in the namespace {namespace}: it is protected"
    return (Violation(Reason.NAMESPACE_PROTECTED, message, "metadata.namespace"),)
