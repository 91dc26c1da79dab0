"""The outcome of judging."""

import pytest

from toe.api.reasons import Reason
from toe.policy.verdict import Allowed, Violation


def test_a_violation_reads_with_its_field_in_front() -> None:
    """Without a field it is the sentence alone."""
    assert str(Violation(Reason.FAILED, "no", "spec.x")) == "spec.x: no"
    assert str(Violation(Reason.FAILED, "no")) == "no"


def test_verdicts_are_values() -> None:
    """Equal when they say the same, and nobody changes one."""
    assert Allowed() == Allowed()
    with pytest.raises(AttributeError):
        Violation(Reason.FAILED, "no").message = "yes"  # type: ignore[misc]
