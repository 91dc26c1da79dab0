"""The image of a dangerous tool is named by digest.

Why: a tag can be moved to other content after the config was approved. From the setting's tier on only a digest is
used.
"""

from toe.api.reasons import Reason
from toe.policy.access import at_least
from toe.policy.request import Request
from toe.policy.verdict import Violation


def check(request: Request) -> tuple[Violation, ...]:
    """Accepts a digest, or a tier below the setting's."""
    if len(request.configs) != 1:
        return ()
    judged = request.configs[0]
    if "@sha256:" in judged.config.spec.image or not at_least(judged.readiness.tier, request.settings.require_digest):
        return ()
    message = (
        f"{judged.config.spec.name} is of tier {judged.readiness.tier} and its image is named by a tag, not by digest"
    )
    return (Violation(Reason.IMAGE_NOT_PINNED, message),)
