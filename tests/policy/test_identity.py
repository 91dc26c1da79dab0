"""Who a target is."""

from typing import Any

import pytest

from tests.builders import a_container_status, a_pod, when
from toe.policy.identity import (
    Identity,
    container_status,
    is_eligible,
    is_running,
    joinable_containers,
    target_container,
    target_identity,
)

SIDECAR = [{"name": "mesh", "restartPolicy": "Always"}, {"name": "setup"}]


def test_a_running_linux_pod_is_eligible() -> None:
    """Of an unknown or of the right operating system."""
    assert is_eligible(a_pod())
    assert is_eligible(a_pod(spec={"os": {"name": "linux"}}))


@pytest.mark.parametrize(
    "difference",
    [
        {"status": {"phase": "Pending"}},
        {"status": {"phase": "Succeeded"}},
        {"status": {"phase": ""}},
        {"metadata": {"deletionTimestamp": when(0)}},
        {"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}},
        {"spec": {"os": {"name": "windows"}}},
    ],
)
def test_every_other_pod_is_left_out(difference: dict[str, Any]) -> None:
    """Not running, going, static or Windows."""
    assert not is_eligible(a_pod(**difference))


def test_containers_that_live_as_long_as_the_pod_can_be_joined() -> None:
    """Regular ones first, then native sidecars; init and ephemeral containers never."""
    pod = a_pod(spec={"initContainers": SIDECAR, "ephemeralContainers": [{"name": "debug"}]})
    assert [container.name for container in joinable_containers(pod)] == ["app", "mesh"]


@pytest.mark.parametrize(
    ("wanted", "annotation", "expected"),
    [
        (None, None, "app"),
        (None, "b", "b"),
        (None, "gone", "app"),
        (None, "mesh", "mesh"),
        ("b", "app", "b"),
        ("mesh", None, "mesh"),
        ("setup", None, None),
        ("gone", "app", None),
        ("", None, None),
    ],
)
def test_the_container_is_kubectls_default_unless_named(
    wanted: str | None, annotation: str | None, expected: str | None
) -> None:
    """A name that the pod lacks is no container, never another one."""
    annotations = {"kubectl.kubernetes.io/default-container": annotation} if annotation else {}
    pod = a_pod(
        metadata={"annotations": annotations},
        spec={"containers": [{"name": "app"}, {"name": "b"}], "initContainers": SIDECAR},
    )
    assert target_container(pod, wanted) == expected


def test_a_pod_without_containers_has_no_target() -> None:
    """Nothing is taken instead."""
    assert target_container(a_pod(spec={"containers": []}), None) is None


def test_the_kubelets_report_is_found_by_name() -> None:
    """Sidecars report among the init containers."""
    pod = a_pod(status={"initContainerStatuses": [a_container_status("mesh")]})
    assert container_status(pod, "mesh") is not None
    assert container_status(pod, "gone") is None
    assert is_running(pod, "app")
    assert not is_running(pod, "gone")
    assert not is_running(a_pod(status={"containerStatuses": [{"name": "app"}]}), "app")
    waiting = a_container_status("app", waiting={})
    assert not is_running(a_pod(status={"containerStatuses": [waiting]}), "app")


@pytest.mark.parametrize(
    ("container", "pod", "told", "expected"),
    [
        ({}, {}, (5, 6), Identity(5, 6)),
        ({"runAsUser": 1, "runAsGroup": 2}, {}, (5, 6), Identity(5, 6)),
        ({"runAsUser": 1, "runAsGroup": 2}, {"runAsUser": 3, "runAsGroup": 4}, None, Identity(1, 2)),
        ({"runAsUser": 0}, {"runAsUser": 3, "runAsGroup": 4}, None, Identity(0, 4)),
        ({}, {"runAsUser": 3, "runAsGroup": 0}, None, Identity(3, 0)),
        ({"runAsUser": 1}, {}, None, None),
        ({"runAsGroup": 1}, {}, None, None),
        ({}, {"runAsNonRoot": True}, None, None),
        (None, None, None, None),
    ],
)
def test_the_kubelets_word_comes_first_then_the_containers_then_the_pods(
    container: dict[str, Any] | None,
    pod: dict[str, Any] | None,
    told: tuple[int, int] | None,
    expected: Identity | None,
) -> None:
    """Half an identity is none: the rest would be the image's guess."""
    status = a_container_status("app", uid=told[0] if told else None, gid=told[1] if told else 0)
    found = a_pod(
        spec={"containers": [{"name": "app", "securityContext": container}], "securityContext": pod},
        status={"containerStatuses": [status]},
    )
    assert target_identity(found, "app") == expected


def test_a_kubelet_that_tells_no_linux_user_is_a_kubelet_that_does_not_tell() -> None:
    """An older kubelet reports neither."""
    pod = a_pod(status={"containerStatuses": [{"name": "app", "user": {}}]})
    assert target_identity(pod, "app") is None
    assert target_identity(pod, "gone") is None
