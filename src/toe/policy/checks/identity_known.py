"""The tool's identity is known before it starts, and is not root unless the config says so.

Why: a tool that takes the target's identity needs its uid **and** gid; a guess would be the image's user, often root.
``runAsRoot: false`` promises that the tool is not root, which a root target would break. The profile ``compat`` takes
that guess where nobody knows (setting ``unknown_identity``); the kubelet still keeps ``runAsRoot: false``.
"""

from toe.api.reasons import Reason
from toe.policy.identity import target_container, target_identity
from toe.policy.request import TargetRequest
from toe.policy.verdict import Violation


def check(request: TargetRequest) -> tuple[Violation, ...]:
    """Accepts a config that states its ids, or a target whose ids are known and permitted."""
    security = request.config.spec.effective_security
    name = target_container(request.pod, request.run.spec.targets.container)
    states_ids = security.run_as_user is not None and security.run_as_group is not None
    if name is None or security.run_as_root or states_ids:
        return ()
    identity = target_identity(request.pod, name)
    if identity is None and request.settings.unknown_identity == "image":
        return ()
    if identity is None:
        message = f"neither the kubelet nor the pod says with which uid and gid the container {name} runs"
        return (Violation(Reason.TARGET_IDENTITY_UNKNOWN, message),)
    if security.run_as_root is False and identity.uid == 0:
        message = f"the container {name} runs as root, and {request.config.spec.name} must not (runAsRoot: false)"
        return (Violation(Reason.TARGET_RUNS_AS_ROOT, message),)
    return ()
