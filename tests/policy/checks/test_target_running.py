"""The target container runs."""

import pytest

from tests.builders import a_container_status, a_pod, a_powertool, a_target_request, when
from toe.api.reasons import Reason
from toe.policy.checks.target_running import check


def test_allows_a_running_container() -> None:
    """The kubelet reports it as running."""
    assert check(a_target_request()) == ()


def test_says_nothing_about_a_container_that_is_not_there() -> None:
    """A missing container is another rule's business."""
    assert check(a_target_request(run=a_powertool(targets={"container": "other"}))) == ()


@pytest.mark.parametrize(
    "statuses",
    [
        [],
        [{"name": "app"}],
        [a_container_status("app", waiting={"reason": "CrashLoopBackOff"})],
        [a_container_status("app", terminated={"exitCode": 1, "finishedAt": when(0)})],
        [a_container_status("other")],
    ],
)
def test_denies_every_other_container(statuses: list[dict[str, object]]) -> None:
    """A tool for a container that is down would wait in the pod and start by itself at any time."""
    (violation,) = check(a_target_request(a_pod(status={"containerStatuses": statuses})))
    assert violation.reason is Reason.TARGET_NOT_RUNNING
    assert str(violation) == "the container app is not running"
