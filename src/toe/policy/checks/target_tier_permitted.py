"""The tool is not more dangerous in this pod than the requester may use.

Why: SYS_PTRACE in a pod that shares its process namespace, NET_RAW on the node's network: the same config is of a
higher tier there. The right that the higher tier needs is asked too.
"""

from toe.api.reasons import Reason
from toe.policy.access import use_of
from toe.policy.exposure import tier_in
from toe.policy.request import TargetRequest
from toe.policy.verdict import Violation


def check(request: TargetRequest) -> tuple[Violation, ...]:
    """Accepts a pod in which the tool keeps its tier, or a requester with the right for the higher one."""
    config, tier = request.config, request.tier
    here = tier_in(config, tier, request.pod)
    if here == tier:
        return ()
    right = use_of(config.spec.name, here, request.run.metadata.namespace, request.settings)
    if right is None or request.access.get(right) is True:
        return ()
    message = f"{config.spec.name} is of tier {here} in this pod; ask for: {right}"
    return (Violation(Reason.USE_NOT_GRANTED, message),)
