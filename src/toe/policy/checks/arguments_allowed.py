"""Every argument fits the tool's grammar.

Why: the administrator's security is void if an argument can reach past it (``tcpdump -z``, ``gdb -ex shell``). What
users may add is written in the config; the default is nothing. A grammar that is not valid yet judges nobody: the run
waits for its administrator.
"""

from toe.api.reasons import Reason
from toe.policy.arguments import judge_arguments
from toe.policy.request import Request
from toe.policy.verdict import Violation


def check(request: Request) -> tuple[Violation, ...]:
    """Accepts words that the config's ``arguments`` accept."""
    config, words = request.config, request.run.spec.tool.args or ()
    if config is None or not words or not request.configs[0].readiness.is_ready:
        return ()
    complaints = judge_arguments(words, config.spec.arguments, config.spec.default_args or (), config.spec.name)
    return tuple(
        Violation(Reason.ARGUMENT_NOT_ALLOWED, complaint.message, f"spec.tool.args[{complaint.index}]")
        for complaint in complaints
    )
