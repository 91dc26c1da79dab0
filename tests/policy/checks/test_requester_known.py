"""The run says who asked for it, and recently enough."""

from tests.builders import a_powertool, a_request, a_smuggled_powertool, at
from toe.api.reasons import Reason
from toe.policy.checks.requester_known import check

HALF_A_DAY = 12 * 3600


def test_allows_a_fresh_stamp() -> None:
    """A stamp is good for 12 hours."""
    assert check(a_request(a_powertool(), now=at(HALF_A_DAY))) == ()


def test_denies_a_run_without_a_stamp() -> None:
    """It came past admission: an older policy, a restored backup."""
    (answer,) = check(a_request(a_smuggled_powertool(requester=None)))
    assert (answer.reason, answer.field) == (Reason.UNATTRIBUTED, "spec.requester")


def test_denies_an_old_stamp() -> None:
    """Stamped groups do not refresh."""
    (answer,) = check(a_request(a_powertool(), now=at(HALF_A_DAY + 1)))
    assert answer.reason == Reason.STAMP_EXPIRED
    assert "12h" in answer.message


def test_allows_what_was_started_with_a_fresh_stamp() -> None:
    """The age is asked when a run starts; one that is on goes on."""
    target = {"pod": "web-1", "podUID": "uid-web-1", "container": "app"}
    run = a_powertool(status={"targets": [target]})
    assert check(a_request(run, now=at(2 * HALF_A_DAY))) == ()
