"""An Extreme tool was approved, and its review is not overdue."""

from typing import Any

import msgspec
import pytest

from tests.builders import APPROVED, NOW, a_config, a_powertool, a_request, merged
from toe.api.reasons import Reason
from toe.api.settings import PROFILES
from toe.policy.checks.approval_current import check

SECURITY = {"allowPrivileged": True}


def _judge(metadata: dict[str, Any] | None, **more: Any) -> list[str]:
    return [answer.reason for answer in check(a_request(a_powertool(), a_config(metadata, security=SECURITY), **more))]


def _reviewed(date: str) -> dict[str, Any]:
    return merged(APPROVED, {"annotations": {"security.toe.run/review-date": date}})


def test_allows_every_tool_below_extreme() -> None:
    """They need no annotation; an ambiguous tool is another rule's business."""
    assert check(a_request()) == ()
    assert check(a_request(a_powertool(), a_config(), a_config())) == ()


def test_allows_an_approved_tool() -> None:
    """With a review in the future, or none where none is asked for."""
    assert _judge(APPROVED) == []
    assert _judge(_reviewed(NOW.date().isoformat())) == []


@pytest.mark.parametrize("name", ["risk-level", "justification", "approved-by"])
def test_denies_without_one_of_the_annotations(name: str) -> None:
    """Each of the three; blanks do not count."""
    metadata = merged(APPROVED, {"annotations": {f"security.toe.run/{name}": " "}})
    if name == "risk-level":
        metadata["annotations"].pop("security.toe.run/risk-level")
    assert _judge(metadata) == [Reason.APPROVAL_MISSING]


def test_denies_after_the_review_date() -> None:
    """Approval is for a time; a date that cannot be read counts as past."""
    assert _judge(_reviewed("2020-01-01")) == [Reason.REVIEW_OVERDUE]
    assert _judge(_reviewed("soon")) == [Reason.REVIEW_OVERDUE]


def test_hardened_wants_a_review_date() -> None:
    """One that is there and not past."""
    assert _judge(APPROVED, settings=PROFILES["hardened"]) == [Reason.APPROVAL_MISSING]


def test_no_age_is_judged_offline() -> None:
    """Lint knows no time."""
    request = a_request(a_powertool(), a_config(_reviewed("2020-01-01"), security=SECURITY))
    assert check(msgspec.structs.replace(request, now=None)) == ()
