"""How toe-run is refused."""

import pytest

from toe.api.reasons import Reason
from toe.collector.denials import STATUS, denied, wrong_offset
from toe.policy.verdict import Denied, Violation


@pytest.mark.parametrize("reason", list(STATUS))
def test_the_first_violation_is_told(reason: Reason) -> None:
    """With the status that the page has for it."""
    error = denied(Denied((Violation(reason, "because"), Violation(Reason.STORE_FULL, "and"))))
    assert (error.status, error.answer()) == (STATUS[reason], {"reason": str(reason), "message": "because"})


def test_a_wrong_offset_says_the_right_one() -> None:
    """Zero too."""
    assert wrong_offset(0).answer()["offset"] == 0
