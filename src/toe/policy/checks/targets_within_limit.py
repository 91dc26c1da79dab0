"""Not more pods match than the tool may enter.

Why: a selector that is wider than meant must not put a tool into half a fleet. More matches than ``limits.maxTargets``
refuse the run with the count, never a part of it. No match yet keeps the run waiting.
"""

from toe.api.reasons import Reason
from toe.policy.request import Request
from toe.policy.verdict import Unmet, Violation


def check(request: Request) -> tuple[Unmet | Violation, ...]:
    """Accepts between 1 and ``maxTargets`` matching pods; None (nobody looked) is accepted at admission."""
    config, matching = request.config, request.matching
    if matching is None:
        return ()
    selector = request.run.spec.targets.label_selector
    if matching == 0:
        message = f"no running pod in {request.run.metadata.namespace} matches {selector}"
        return (Unmet(Reason.NO_MATCHING_PODS, message),)
    if config is None or matching <= config.spec.effective_limits.max_targets:
        return ()
    most = config.spec.effective_limits.max_targets
    message = f"{matching} pods match {selector}, {config.spec.name} permits {most}: choose fewer"
    return (Violation(Reason.TOO_MANY_TARGETS, message, "spec.targets.labelSelector"),)
