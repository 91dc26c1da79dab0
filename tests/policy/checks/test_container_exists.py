"""The pod has the container that the run names."""

import pytest

from tests.builders import a_pod, a_powertool, a_target_request
from toe.api.reasons import Reason
from toe.policy.checks.container_exists import check

SIDECAR = a_pod(spec={"initContainers": [{"name": "mesh", "restartPolicy": "Always"}, {"name": "setup"}]})


@pytest.mark.parametrize("name", ["app", "mesh"])
def test_allows_regular_containers_and_native_sidecars(name: str) -> None:
    """Both kinds live as long as the pod."""
    assert check(a_target_request(SIDECAR, run=a_powertool(targets={"container": name}))) == ()


def test_allows_a_run_that_names_none() -> None:
    """The pod's default container is taken."""
    assert check(a_target_request(SIDECAR)) == ()


@pytest.mark.parametrize("name", ["other", "setup", "debug", "App", "аpp"])
def test_denies_every_other_name(name: str) -> None:
    """A finished init container, an ephemeral one or a look-alike is never joined, nor is the first one instead."""
    pod = a_pod(
        spec={"initContainers": [{"name": "setup"}], "ephemeralContainers": [{"name": "debug"}]},
    )
    (violation,) = check(a_target_request(pod, run=a_powertool(targets={"container": name})))
    assert violation.reason is Reason.CONTAINER_NOT_FOUND
    assert str(violation) == f"spec.targets.container: the pod has no container {name}; it has app"


def test_denies_a_pod_without_containers() -> None:
    """A pod that lists none has nothing to join."""
    (violation,) = check(
        a_target_request(a_pod(spec={"containers": []}), run=a_powertool(targets={"container": "app"}))
    )
    assert violation.message == "the pod has no container app; it has none"
