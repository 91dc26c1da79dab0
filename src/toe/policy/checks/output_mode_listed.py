"""Results leave the pod in a way that the config lists.

Why: a heap dump in a container's log is readable by everybody with ``pods/log``. ``output.modes`` lists what an
administrator accepts; absent means ephemeral.
"""

from toe.api.reasons import Reason
from toe.policy.request import Request
from toe.policy.verdict import Violation


def check(request: Request) -> tuple[Violation, ...]:
    """Accepts a mode that the config lists."""
    config, mode = request.config, request.run.spec.output.mode
    if config is None or mode in config.spec.output_modes:
        return ()
    message = f"{config.spec.name} does not permit {mode}; it permits {', '.join(config.spec.output_modes)}"
    return (Violation(Reason.OUTPUT_NOT_ALLOWED, message, "spec.output.mode"),)
