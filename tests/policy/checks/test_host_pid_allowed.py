"""A pod with the node's process namespace is entered only by tools that may."""

from tests.builders import a_config, a_pod, a_target_request
from toe.api.reasons import Reason
from toe.policy.checks.host_pid_allowed import check

HOST_PID = a_pod(spec={"hostPID": True})


def test_allows_pods_with_their_own_processes() -> None:
    """A pod without hostPID needs no permission."""
    assert check(a_target_request()) == ()


def test_allows_a_tool_that_may() -> None:
    """``allowHostPID`` is the permission to enter a pod that has hostPID already."""
    assert check(a_target_request(HOST_PID, config=a_config(security={"allowHostPID": True}))) == ()


def test_denies_a_tool_that_may_not() -> None:
    """The node's processes are out of reach by default."""
    (violation,) = check(a_target_request(HOST_PID))
    assert violation.reason is Reason.HOST_PID_NOT_ALLOWED
    assert str(violation) == "the pod shares the node's processes (hostPID) and aperf may not enter such pods"
