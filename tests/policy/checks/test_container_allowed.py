"""The tool may join this container."""

from tests.builders import a_config, a_pod, a_powertool, a_target_request
from toe.api.reasons import Reason
from toe.policy.checks.container_allowed import check

ONLY_APP = a_config(allowedTargets={"containers": ["app"]})
NOT_VAULT = a_config(allowedTargets={"exceptContainers": ["vault"]})
TWO = a_pod(spec={"containers": [{"name": "app"}, {"name": "vault"}]})
VAULT = a_powertool(targets={"container": "vault"})


def test_allows_a_listed_container() -> None:
    """A container of ``containers`` may be joined."""
    assert check(a_target_request(TWO, config=ONLY_APP)) == ()


def test_allows_what_is_not_excepted() -> None:
    """A container that ``exceptContainers`` does not name may be joined."""
    assert check(a_target_request(TWO, config=NOT_VAULT)) == ()


def test_allows_every_container_where_nothing_is_said() -> None:
    """No ``allowedTargets`` means any container of the pod."""
    assert check(a_target_request(TWO, run=VAULT)) == ()


def test_denies_a_container_that_is_not_listed() -> None:
    """``containers`` lists the only ones."""
    (violation,) = check(a_target_request(TWO, run=VAULT, config=ONLY_APP))
    assert violation.reason is Reason.CONTAINER_NOT_ALLOWED
    assert str(violation) == "spec.targets.container: aperf may join app only, not vault"


def test_denies_an_excepted_container() -> None:
    """A vault agent is never joined."""
    (violation,) = check(a_target_request(TWO, run=VAULT, config=NOT_VAULT))
    assert str(violation) == "spec.targets.container: aperf may not join the container vault"


def test_says_nothing_about_a_container_that_is_not_there() -> None:
    """A missing container is another rule's business."""
    assert check(a_target_request(run=VAULT, config=ONLY_APP)) == ()
