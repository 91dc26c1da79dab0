"""The versions of Kubernetes between the oldest and the newest that toe runs on: definitions, fence, canary.

The oldest and the newest have the whole of the other tests; what a version in between could lack is asked of it here.
"""

from collections.abc import Iterator

import pytest

from devcluster import Cluster
from tests.cluster.fence_tools import CATALOG, inject, live_pod, make_pod, rendered
from tests.cluster.fenced import Fenced, Raw, until
from toe.api.fence.canary import canary
from toe.api.meta import API_VERSION

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

BETWEEN = ("1.34", "1.35")


@pytest.fixture(scope="module", params=BETWEEN)
def fenced(request: pytest.FixtureRequest) -> Iterator[Fenced]:
    """An API server that emulates the version, with the fence in force."""
    version: str = request.param
    name = f"toe-test-v{version.replace('.', '-')}"
    with Cluster(name, node=False, emulated_version=version, report=lambda _: None) as cluster:
        found = Fenced(cluster, CATALOG)
        found.up()
        make_pod(found, "fence-open", "web")
        until(lambda: inject(found, [{"name": "x", "image": "x"}]).policy == "catalog", "the fence is in force")
        yield found
        found.server.close()


def test_what_a_catalog_holds_is_accepted_and_nothing_else(fenced: Fenced) -> None:
    """The same container with another image is refused, by the policy that should."""
    container = rendered("peek", live_pod(fenced))
    assert inject(fenced, [container]).is_accepted
    assert inject(fenced, [container | {"image": "registry.example/evil:1"}]).policy == "catalog"
    assert inject(fenced, [container | {"env": [{"name": "LD_PRELOAD", "value": "x"}]}]).policy == "catalog"


def test_the_canary_is_refused(fenced: Fenced) -> None:
    """By which the controller knows that the fence stands."""
    bird = canary("fence-open", "web")
    answer = inject(fenced, bird.body["spec"]["ephemeralContainers"])
    assert bird.is_refused(answer.status, answer.message)


def test_rules_of_the_definitions_hold(fenced: Fenced) -> None:
    """Security in a run is refused with its field, also where unknown fields would be ignored."""
    spec: Raw = {
        "targets": {"labelSelector": {"matchLabels": {"app": "web"}}},
        "tool": {"name": "peek", "duration": "5s"},
        "security": {"privileged": True},
    }
    run = {"apiVersion": API_VERSION, "kind": "PowerTool", "metadata": {"name": "x"}, "spec": spec}
    path = f"/apis/{API_VERSION}/namespaces/fence-open/powertools"
    answer = fenced.server.send("POST", f"{path}?fieldValidation=Ignore&dryRun=All", run)
    assert (answer.status, "spec.security" in answer.message) == (422, True), answer
