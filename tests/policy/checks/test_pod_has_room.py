"""The pod has room for one more tool container."""

from tests.builders import a_pod, a_target_request
from toe.api.pod import Pod
from toe.api.reasons import Reason
from toe.api.settings import Settings
from toe.policy.checks.pod_has_room import check


def _pod(*names: str) -> Pod:
    return a_pod(spec={"ephemeralContainers": [{"name": name} for name in names]})


def test_allows_a_pod_below_the_limit() -> None:
    """Containers of others do not count."""
    assert check(a_target_request(_pod(*(f"toe-aperf-{i}" for i in range(15)), "debugger-1", "debugger-2"))) == ()


def test_denies_a_pod_at_the_limit() -> None:
    """Tool containers can never be removed, so a pod gets a bounded number in its life, ended ones included."""
    (violation,) = check(a_target_request(_pod(*(f"toe-aperf-{i}" for i in range(16)))))
    assert violation.reason is Reason.POD_CAP_REACHED
    assert str(violation) == (
        "the pod has 16 tool containers, which can never be removed; 16 is the limit: restart the pod"
    )


def test_denies_by_the_operators_setting() -> None:
    """The limit is the platform's to choose."""
    assert len(check(a_target_request(_pod("toe-aperf-0"), settings=Settings(max_containers_per_pod=1)))) == 1
