"""The selector requires something.

Why: an empty selector, or one of ``NotIn`` and ``DoesNotExist`` alone, reaches pods that nobody thought of.
"""

from toe.api.reasons import Reason
from toe.policy.request import Request
from toe.policy.verdict import Violation


def check(request: Request) -> tuple[Violation, ...]:
    """Accepts a selector with a label, an In or an Exists."""
    if request.run.spec.targets.label_selector.is_positive:
        return ()
    message = "requires nothing: name a label in matchLabels, or an In or Exists expression"
    return (Violation(Reason.SELECTOR_TOO_WIDE, message, "spec.targets.labelSelector"),)
