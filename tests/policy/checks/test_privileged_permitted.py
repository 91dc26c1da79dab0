"""A privileged tool runs only where the platform said so."""

import pytest

from tests.builders import a_config, a_powertool, a_request
from toe.api.reasons import Reason
from toe.policy.checks.privileged_permitted import check
from toe.policy.request import Request
from toe.policy.verdict import Unmet, Violation

PRIVILEGED = a_config(security={"allowPrivileged": True})


def test_allows_a_tool_that_is_not_privileged() -> None:
    """An ordinary tool needs no label."""
    assert check(a_request(a_powertool(), a_config(), namespace_labels={})) == ()
    assert check(Request(run=a_powertool())) == ()


def test_allows_a_labelled_namespace() -> None:
    """The platform said so."""
    labels = {"toe.run/allow-privileged-tools": "true"}
    assert check(a_request(a_powertool(), PRIVILEGED, namespace_labels=labels)) == ()


@pytest.mark.parametrize(
    "labels", [{}, {"toe.run/allow-privileged-tools": "True"}, {"toe.run/allow-privileged-tools": ""}]
)
def test_denies_every_other_namespace_in_these_words(labels: dict[str, str]) -> None:
    """The message is that of the source document."""
    answers = check(a_request(a_powertool(), PRIVILEGED, namespace_labels=labels))
    assert answers == (Violation(Reason.PRIVILEGED_NOT_ALLOWED, "Privileged containers are not allowed"),)


def test_waits_for_a_namespace_that_is_not_known_yet() -> None:
    """A missing fact is no permission and no refusal."""
    answers = check(a_request(a_powertool(), PRIVILEGED, namespace_labels=None))
    assert answers == (Unmet(Reason.PRIVILEGED_NOT_ALLOWED, "the namespace production is not known yet"),)
