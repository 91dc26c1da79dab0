"""The tool's identity is known before it starts, and is not root unless the config says so."""

import msgspec
import pytest

from tests.builders import a_config, a_container_status, a_pod, a_powertool, a_smuggled_config, a_target_request
from toe.api.reasons import Reason
from toe.api.settings import PROFILES
from toe.policy.checks.identity_known import check

UNKNOWN = a_pod(status={"containerStatuses": [a_container_status("app", uid=None)]})
ROOT = a_pod(status={"containerStatuses": [a_container_status("app", uid=0, gid=0)]})


@pytest.mark.parametrize("security", [{"runAsRoot": True}, {"runAsUser": 7, "runAsGroup": 7}])
def test_allows_a_config_that_states_its_ids(security: dict[str, object]) -> None:
    """Where the config decides, the target's identity does not matter."""
    assert check(a_target_request(UNKNOWN, config=a_config(security=security))) == ()


def test_allows_a_target_whose_ids_are_known() -> None:
    """A tool that takes the target's identity may be root when the config does not forbid it."""
    assert check(a_target_request()) == ()
    assert check(a_target_request(config=a_config(security={"runAsRoot": False}))) == ()
    assert check(a_target_request(ROOT)) == ()


def test_denies_a_target_that_nobody_knows() -> None:
    """Without the uid and gid there would only be the image's guess, often root."""
    (violation,) = check(a_target_request(UNKNOWN))
    assert violation.reason is Reason.TARGET_IDENTITY_UNKNOWN
    assert str(violation) == "neither the kubelet nor the pod says with which uid and gid the container app runs"


def test_allows_an_unknown_target_where_the_image_decides() -> None:
    """Profile ``compat``; what is known to be root is refused there too."""
    for security in ({}, {"runAsRoot": False}):
        request = a_target_request(UNKNOWN, config=a_config(security=security))
        assert check(msgspec.structs.replace(request, settings=PROFILES["compat"])) == ()
    request = a_target_request(ROOT, config=a_config(security={"runAsRoot": False}))
    (violation,) = check(msgspec.structs.replace(request, settings=PROFILES["compat"]))
    assert violation.reason is Reason.TARGET_RUNS_AS_ROOT


def test_denies_half_an_identity_that_came_past_the_schema() -> None:
    """A uid without a gid is no identity of the config's own."""
    config = a_smuggled_config(security={"runAsUser": 7})
    assert [v.reason for v in check(a_target_request(UNKNOWN, config=config))] == [Reason.TARGET_IDENTITY_UNKNOWN]


def test_denies_a_root_target_where_the_tool_must_not_be_root() -> None:
    """``runAsRoot: false`` is kept by refusing the target."""
    (violation,) = check(a_target_request(ROOT, config=a_config(security={"runAsRoot": False})))
    assert violation.reason is Reason.TARGET_RUNS_AS_ROOT
    assert str(violation) == "the container app runs as root, and aperf must not (runAsRoot: false)"


def test_says_nothing_about_a_container_that_is_not_there() -> None:
    """A missing container is another rule's business."""
    assert check(a_target_request(run=a_powertool(targets={"container": "other"}))) == ()
