"""An Extreme tool was approved, and its review is not overdue.

Why: what is as good as root on the node is a decision of somebody with a name, and it is looked at again. The
annotations risk-level, justification and approved-by must be there, a review-date that is past refuses, and where the
setting asks for one it must be there.
"""

from datetime import date, datetime

from toe.api.powertoolconfig import SECURITY_ANNOTATIONS
from toe.api.reasons import Reason
from toe.api.settings import Settings
from toe.policy.request import JudgedConfig, Request
from toe.policy.verdict import Violation

REQUIRED = ("risk-level", "justification", "approved-by")


def check(request: Request) -> tuple[Violation, ...]:
    """Accepts every tier below Extreme, or a config with its approval and a review that is not past."""
    if len(request.configs) != 1:
        return ()
    return shortcomings(request.configs[0], request.settings, request.now)


def shortcomings(judged: JudgedConfig, settings: Settings, now: datetime | None) -> tuple[Violation, ...]:
    """Lists what a config lacks of its approval; who writes the config is told so before anybody runs the tool."""
    if judged.readiness.tier != "Extreme":
        return ()
    config = judged.config
    annotations = config.metadata.annotations or {}
    missing = [name for name in REQUIRED if not annotations.get(SECURITY_ANNOTATIONS + name, "").strip()]
    found = []
    if missing:
        names = ", ".join(SECURITY_ANNOTATIONS + name for name in missing)
        message = f"{config.spec.name} is of tier Extreme and lacks the annotations {names}"
        found.append(Violation(Reason.APPROVAL_MISSING, message))
    review = annotations.get(SECURITY_ANNOTATIONS + "review-date", "").strip()
    if not review and settings.require_review_date:
        message = f"{config.spec.name} is of tier Extreme and lacks the annotation {SECURITY_ANNOTATIONS}review-date"
        found.append(Violation(Reason.APPROVAL_MISSING, message))
    if review and now is not None and _is_past(review, now.date()):
        found.append(Violation(Reason.REVIEW_OVERDUE, f"the review of {config.spec.name} was due on {review}"))
    return tuple(found)


def _is_past(review: str, today: date) -> bool:
    """Tells whether a date is before today; text that is no date was refused when the config was judged."""
    try:
        return date.fromisoformat(review) < today
    except ValueError:
        return True
