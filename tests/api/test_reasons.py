"""Every reason that toe gives."""

import re

from toe.api.reasons import REASONS, Reason


def test_every_reason_has_a_sentence() -> None:
    """The reference page leaves none out, and none is a leftover."""
    assert set(REASONS) == set(Reason)
    for reason, sentence in REASONS.items():
        assert re.fullmatch(r"[A-Z][^\n]*\.", sentence), reason


def test_reasons_are_words_that_conditions_accept() -> None:
    """metav1.Condition: CamelCase, no blanks."""
    for reason in Reason:
        assert re.fullmatch("[A-Z][A-Za-z]*", reason)
        assert len(reason) <= 64
