"""A verdict is told in full, each rule once, and what would be accepted once."""

import pytest

from tests.builders import a_config, a_request
from toe.api.reasons import Reason
from toe.cli.verdicts import missing, refusals, short
from toe.policy.verdict import Denied, Undecided, Unmet, Violation


def test_what_is_accepted_is_said_once() -> None:
    """Below the refusals, not in each of them."""
    config = a_config(arguments={"options": [{"flag": "-n"}]})
    words = [
        Violation(Reason.ARGUMENT_NOT_ALLOWED, f'aperf does not accept "{flag}" here; it accepts -n', f"args[{index}]")
        for index, flag in enumerate(("-z", "-y"))
    ]
    errors, hints = refusals(Denied((*words, Violation(Reason.PRIVILEGED_NOT_ALLOWED, "no"))), config)
    assert errors == ['aperf does not accept "-z" here (args[0])', 'aperf does not accept "-y" here (args[1])', "no"]
    assert hints == ["it accepts: -n"]


@pytest.mark.parametrize(
    ("unmet", "error", "hint"),
    [
        (
            Unmet(Reason.TOOL_NOT_FOUND, "PowerToolConfig not found for tool: pyspy (did you mean py-spy?)"),
            "PowerToolConfig not found for tool: pyspy",
            "did you mean py-spy? (kubectl toe tools)",
        ),
        (Unmet(Reason.TOOL_NOT_FOUND, "not found: x"), "not found: x", "`kubectl toe tools` lists them"),
        (Unmet(Reason.TOOL_SUSPENDED, "suspended"), "suspended", "the administrator"),
        (Unmet(Reason.NO_MATCHING_PODS, "no pod"), "no pod", "--show-labels"),
        (Unmet(Reason.PRIVILEGED_NOT_ALLOWED, "unknown"), "unknown", "could not be read"),
        (Unmet(Reason.START_DEADLINE_EXCEEDED, "other"), "other", ""),
    ],
)
def test_what_is_missing_has_a_way_out(unmet: Unmet, error: str, hint: str) -> None:
    """The sentence alone, the hint apart from it."""
    errors, hints = missing(Undecided((unmet,)), a_request(), "kubectl toe")
    assert errors == [error]
    assert hint in " ".join(hints)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Violation(Reason.NAMESPACE_NOT_ALLOWED, "long"), "only in a, b"),
        (Violation(Reason.NAMESPACE_PROTECTED, "long"), "the namespace is protected"),
        (Violation(Reason.PRIVILEGED_NOT_ALLOWED, "long"), "the namespace is not labelled for privileged tools"),
        (
            Unmet(Reason.PRIVILEGED_NOT_ALLOWED, "long"),
            "whether the namespace is labelled for privileged tools could not be read",
        ),
        (Unmet(Reason.TOOL_SUSPENDED, "long"), "suspended by the administrator"),
        (Unmet(Reason.AMBIGUOUS_TOOL, "long"), "long"),
    ],
)
def test_a_cell_of_a_table_says_it_in_a_few_words(answer: Violation | Unmet, words: str) -> None:
    """The rule, not the whole sentence."""
    assert short(answer, a_config(allowedNamespaces=["a", "b"])) == words
