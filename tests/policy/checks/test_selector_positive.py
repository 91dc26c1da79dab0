"""The selector requires something."""

from typing import Any

import pytest

from tests.builders import a_powertool, a_request, a_smuggled_powertool
from toe.api.reasons import Reason
from toe.policy.checks.selector_positive import check


@pytest.mark.parametrize(
    "expression", [{"key": "a", "operator": "In", "values": ["b"]}, {"key": "a", "operator": "Exists"}]
)
def test_allows_a_selector_that_requires_something(expression: dict[str, Any]) -> None:
    """A label, an In or an Exists must be present in a pod."""
    assert check(a_request(a_powertool())) == ()
    selector = {"matchLabels": None, "matchExpressions": [expression]}
    assert check(a_request(a_powertool(targets={"labelSelector": selector}))) == ()


@pytest.mark.parametrize(
    "selector",
    [
        {"matchLabels": None},
        {"matchLabels": None, "matchExpressions": []},
        {"matchLabels": None, "matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]},
        {"matchLabels": None, "matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]},
    ],
)
def test_denies_a_selector_that_matches_strangers(selector: dict[str, Any]) -> None:
    """Nothing, or only what must be absent, reaches pods that nobody thought of."""
    run = a_smuggled_powertool(targets={"labelSelector": {"matchLabels": None, **selector}})
    (violation,) = check(a_request(run))
    assert violation.reason is Reason.SELECTOR_TOO_WIDE
    assert violation.field == "spec.targets.labelSelector"
