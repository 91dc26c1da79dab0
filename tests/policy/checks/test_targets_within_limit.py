"""Not more pods match than the tool may enter."""

import pytest

from tests.builders import a_config, a_powertool, a_request
from toe.api.reasons import Reason
from toe.policy.checks.targets_within_limit import check
from toe.policy.request import Request
from toe.policy.verdict import Unmet

TWO = a_config(limits={"maxTargets": 2})


@pytest.mark.parametrize("matching", [1, 2, None])
def test_allows_up_to_the_limit(matching: int | None) -> None:
    """As many pods as permitted are taken; before anybody looked, nothing is said."""
    assert check(a_request(a_powertool(), TWO, matching=matching)) == ()


def test_allows_any_number_while_the_config_is_not_known() -> None:
    """Without a config the run waits for other reasons."""
    assert check(Request(run=a_powertool(), matching=900)) == ()


@pytest.mark.parametrize(("matching", "config", "most"), [(3, TWO, 2), (51, a_config(), 50)])
def test_denies_more_with_the_count(matching: int, config: object, most: int) -> None:
    """A part of the pods is never taken instead."""
    (violation,) = check(a_request(a_powertool(), config, matching=matching))  # type: ignore[arg-type]
    assert violation.reason is Reason.TOO_MANY_TARGETS
    assert str(violation) == (
        f"spec.targets.labelSelector: {matching} pods match app=web, aperf permits {most}: choose fewer"
    )


def test_waits_for_a_first_match() -> None:
    """A pod may be on its way."""
    answers = check(a_request(a_powertool(), matching=0))
    assert answers == (Unmet(Reason.NO_MATCHING_PODS, "no running pod in production matches app=web"),)
