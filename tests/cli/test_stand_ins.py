"""Pods are made for the doctor where the person says, never run, and are gone when it ends."""

import json

from tests.cli.fakecluster import PODS, FakeCluster
from tests.cli.hospital import installed
from tests.cli.scene import Person


def _lasting(cluster: FakeCluster) -> list[tuple[str, str]]:
    """Returns the writes that are no dry run."""
    writes = [(method, path) for method, path, params in cluster.requests if not params.get("dryRun")]
    return [(method, path) for method, path in writes if method != "GET" and "review" not in path]


def test_two_pods_are_made_and_removed(cluster: FakeCluster, person: Person) -> None:
    """Each with a gate that nobody lifts; nothing else is written."""
    installed(cluster)
    made = []
    cluster.on_change = lambda path, obj: made.append((path, obj)) if path.startswith(PODS) else None
    before = set(cluster.objects)
    ran = person("doctor", "--make-pods-in", "shop")
    assert "made in shop and removed." in ran.err
    assert set(cluster.objects) == before
    assert {path.rpartition("/")[0] for path, _ in made} == {PODS}
    for _, pod in made:
        assert pod["spec"]["schedulingGates"] == [{"name": "toe.run/never"}]
        assert pod["spec"]["automountServiceAccountToken"] is False
    writes = [method for method, path in _lasting(cluster) if path.startswith(PODS)]
    assert writes == [*("POST", "PATCH", "POST", "PATCH", "DELETE", "DELETE")]


def test_a_pod_that_is_refused_is_told_and_the_rest_goes_on(cluster: FakeCluster, person: Person) -> None:
    """Such as one with hostPID, where Pod Security forbids it."""
    installed(cluster)
    cluster.answers["POST", PODS] = (403, {"message": "violates PodSecurity"})
    ran = person("doctor", "--make-pods-in", "shop")
    assert "a pod with hostPID could not be made in shop: violates PodSecurity" in ran.err
    assert "Nothing was changed." in ran.err


def test_a_pod_that_cannot_be_removed_is_told(cluster: FakeCluster, person: Person) -> None:
    """By its name; it never runs."""
    installed(cluster)
    cluster.answers["POST", PODS] = (201, {"metadata": {"name": "toe-doctor-1"}})
    cluster.answers["PATCH", f"{PODS}/toe-doctor-1/status"] = (200, {})
    cluster.answers["DELETE", f"{PODS}/toe-doctor-1"] = (403, {"message": "not today"})
    assert "remove the pod toe-doctor-1 in shop yourself: not today" in person("doctor", "--make-pods-in", "shop").err


def test_there_must_be_such_a_namespace_that_tools_may_enter(cluster: FakeCluster, person: Person) -> None:
    """Else nothing is tried."""
    installed(cluster)
    for place, hint in (("kube-system", "one that tools may enter"), ("gone", "kubectl create namespace gone")):
        ran = person("doctor", "--make-pods-in", place)
        assert (ran.status, ran.out) == (2, "")
        assert hint in ran.err
    assert _lasting(cluster) == []


def test_what_was_not_tried_says_how_to_have_it_tried(cluster: FakeCluster, person: Person) -> None:
    """In the table and as data."""
    installed(cluster)
    assert "way out: --make-pods-in NAMESPACE" in person("doctor").out
    lines = {line["name"]: line for line in json.loads(person("doctor", "-o", "json").out)["lines"]}
    assert "allowedNamespaces" in lines["foreign namespace"]["wayOut"]
