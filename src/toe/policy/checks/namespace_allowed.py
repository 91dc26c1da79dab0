"""The tool may be used in the run's namespace.

Why: an administrator names the namespaces a tool is for. Exact names; absent means every namespace that is not
protected, an empty list means none.
"""

from toe.api.reasons import Reason
from toe.policy.request import Request
from toe.policy.verdict import Violation


def check(request: Request) -> tuple[Violation, ...]:
    """Accepts a namespace that ``allowedNamespaces`` lists, or any where it is absent."""
    config, namespace = request.config, request.run.metadata.namespace
    if config is None or config.spec.allowed_namespaces is None or namespace in config.spec.allowed_namespaces:
        return ()
    allowed = " ".join(config.spec.allowed_namespaces)
    message = (
        f"PowerTool namespace '{namespace}' is not allowed for tool '{config.spec.name}'. "
        f"Allowed namespaces: [{allowed}]"
    )
    return (Violation(Reason.NAMESPACE_NOT_ALLOWED, message),)
