"""The profile hardened: only labelled namespaces are covered, and every tool needs the right to use it."""

from collections.abc import Iterator

import pytest

from tests.cluster.fence_tools import CATALOG, inject, live_pod, make_pod, rendered
from tests.cluster.fenced import (
    CONTROLLER,
    DEVELOPER,
    MERGE,
    SYSTEM,
    TESTERS,
    Answer,
    Caller,
    Fenced,
    fenced_clusters,
    grant,
    run,
    until,
)
from toe.api.crd import custom_resource_definition
from toe.api.fence.canary import canary
from toe.api.meta import API_VERSION, GROUP

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

USER = Caller("ann", (TESTERS, "fence-users"))
EXTREME = Caller("eve", (TESTERS, "fence-extreme"))


@pytest.fixture(scope="module")
def fenced(request: pytest.FixtureRequest) -> Iterator[Fenced]:
    """The hardened fence with the stamp, and the PowerTool's CRD as it is installed."""
    with fenced_clusters(request, CATALOG, profile="hardened", stamped=True) as found:
        found.server.make(custom_resource_definition("PowerTool"))
        for obj in grant("fence-extreme", (GROUP, ["powertoolconfigs"], ["use"])):
            if obj["kind"] == "ClusterRole":
                obj["rules"][0]["resourceNames"] = ["fence-open.peek"]
            found.server.make(obj)
        for place in ("fence-open", "fence-shut", "kube-system", SYSTEM):
            make_pod(found, place, "web")
        until(lambda: place_of(found, "fence-shut").policy == "uncovered", "the fence is in force")
        until(lambda: create(found, DEVELOPER).policy == "use", "the right is asked for")
        yield found


def place_of(fenced: Fenced, place: str, **fields: object) -> Answer:
    """Injects a good container, or one with changes, into a namespace."""
    return inject(fenced, [rendered("peek", live_pod(fenced, place)) | fields], place=place)


def create(fenced: Fenced, by: Caller, tool: str = "peek") -> Answer:
    """Asks for a run, without making it."""
    path = f"/apis/{API_VERSION}/namespaces/fence-open/powertools?dryRun=All"
    return fenced.server.send("POST", path, run("wanted", tool), by=by)


def test_only_labelled_namespaces_are_open(fenced: Fenced) -> None:
    """Without the label toe may do nothing, and the refusal says what would open the namespace."""
    assert place_of(fenced, "fence-open").is_accepted
    answer = place_of(fenced, "fence-shut")
    assert (answer.policy, "it needs toe.run/tools=enabled" in answer.message) == ("uncovered", True), answer
    for place in ("kube-system", SYSTEM):
        assert place_of(fenced, place).policy == "uncovered"


def test_a_labelled_protected_namespace_stays_closed(fenced: Fenced) -> None:
    """The label opens no namespace of the control plane."""
    path = "/api/v1/namespaces/kube-system"
    label = {"metadata": {"labels": {"toe.run/tools": "enabled"}}}
    assert fenced.server.send("PATCH", path, label, MERGE).is_accepted
    try:
        assert place_of(fenced, "kube-system").policy == "uncovered"
    finally:
        fenced.server.send("PATCH", path, {"metadata": {"labels": {"toe.run/tools": None}}}, MERGE)


def test_without_the_policy_for_the_rest_an_unlabelled_namespace_is_open(fenced: Fenced) -> None:
    """The catalog does not reach there: it is the policy without parameters that closes it."""
    binding = fenced.binding("unopened")
    fenced.server.remove(binding)
    try:
        until(lambda: place_of(fenced, "fence-shut", image="evil").is_accepted, "the policy is out of force")
        assert place_of(fenced, "fence-open", image="evil").policy == "catalog"
        assert place_of(fenced, "kube-system").policy == "uncovered"
    finally:
        fenced.server.make(binding)
        until(lambda: place_of(fenced, "fence-shut").policy == "uncovered", "the policy is in force")


def test_every_tool_needs_the_right_to_use_it(fenced: Fenced) -> None:
    """Refused by the API server itself, in words that say which right; either of the two rights is enough here."""
    answer = create(fenced, DEVELOPER)
    assert answer.policy == "use"
    assert "dev needs the verb use on powertoolconfigs named peek in the namespace fence-open" in answer.message
    assert create(fenced, USER).is_accepted, create(fenced, USER)
    assert create(fenced, EXTREME).is_accepted, create(fenced, EXTREME)
    assert create(fenced, EXTREME, "trace").policy == "use"


def test_without_the_policy_nobody_asks_for_the_right(fenced: Fenced) -> None:
    """Taking the binding away opens exactly this: the rest of the fence stands."""
    binding = fenced.binding("use")
    fenced.server.remove(binding)
    try:
        until(lambda: create(fenced, DEVELOPER).is_accepted, "the policy is out of force")
        assert place_of(fenced, "fence-shut").policy == "uncovered"
    finally:
        fenced.server.make(binding)
        until(lambda: create(fenced, DEVELOPER).policy == "use", "the policy is in force")


def test_the_stamp_works_with_the_definition_as_it_is_installed(fenced: Fenced) -> None:
    """The caller is stamped, and the schema's own rule refuses to change who it was."""
    requester = create(fenced, USER).body["spec"]["requester"]
    assert (requester["username"], "fence-users" in requester["groups"]) == ("ann", True)
    path = f"/apis/{API_VERSION}/namespaces/fence-open/powertools"
    assert fenced.server.send("POST", path, run("kept"), by=USER).is_accepted
    forged = {"spec": {"requester": {"username": "boss"}}}
    answer = fenced.server.send("PATCH", f"{path}/kept", forged, MERGE, by=USER)
    assert answer.status in (403, 422), answer
    assert "immutable" in answer.message or answer.policy == "requester"


def test_the_canary_knows_where_it_is(fenced: Fenced) -> None:
    """Each place has the policy that must refuse there."""
    for place, is_covered in (("fence-open", True), ("fence-shut", False), (SYSTEM, False)):
        bird = canary(place, "web", is_covered=is_covered)
        answer = fenced.server.send("PATCH", bird.path, bird.body, bird.content_type, by=CONTROLLER)
        assert bird.is_refused(answer.status, answer.message), answer
