"""``rbac`` prints what to hand out, so that it can go straight into ``kubectl apply -f -``."""

import pytest
import yaml

from tests.cli.fakecluster import CONFIGS, FakeCluster
from tests.cli.scene import Person, a_tool

HIGH = {"capabilities": {"drop": ["ALL"], "add": ["NET_RAW", "SYS_ADMIN"]}, "runAsRoot": True}


def _kinds(text: str) -> list[tuple[str, str, str]]:
    found = [document for document in yaml.safe_load_all(text) if document]
    return [(obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in found]


def test_stdout_is_yaml_and_nothing_else(person: Person) -> None:
    """All talk is on stderr."""
    ran = person("rbac", "py-spy", "--user", "ann")
    assert _kinds(ran.out) == [
        ("RoleBinding", "shop", "toe-user-ann"),
        ("RoleBinding", "toe-system", "toe-tools-ann"),
    ]
    assert ran.status == 0
    assert "# ann may create and follow runs in shop" in ran.err
    assert "not handed out: verb get on pods/log" in ran.err


def test_use_is_handed_out_for_a_tool_that_needs_it(cluster: FakeCluster, person: Person) -> None:
    """With the tool's name in it."""
    tool = a_tool("dump", security=HIGH)
    del tool["metadata"]["annotations"]
    cluster.put(f"{CONFIGS}/dump", tool)
    ran = person("rbac", "dump", "--service-account", "build:ci")
    assert ("Role", "shop", "toe-use-dump") in _kinds(ran.out)
    assert "which is of tier High" in ran.err


def test_what_is_there_is_left_out(cluster: FakeCluster, person: Person) -> None:
    """And that is said."""
    cluster.granted |= {(verb, "powertoolconfigs") for verb in ("get", "list", "watch")}
    ran = person("rbac", "py-spy", "--group", "sre")
    assert [kind for _, kind, _ in _kinds(ran.out)] == ["shop"]
    assert "# left out: the group sre may see which tools there are already" in ran.err


def test_nothing_to_hand_out_is_no_output(cluster: FakeCluster, person: Person) -> None:
    """Whoever has everything needs nothing."""
    verbs = ("create", "update", "patch", "delete", "get", "list", "watch")
    cluster.granted |= {(verb, kind) for verb in verbs for kind in ("powertools", "powertoolconfigs", "pods")}
    cluster.granted.add(("get", "pods/log"))
    ran = person("rbac", "py-spy", "--user", "ann")
    assert (ran.status, ran.out) == (0, "")
    assert "there is nothing to apply" in ran.err
    assert "not handed out" not in ran.err


def test_what_may_not_be_asked_is_handed_out(cluster: FakeCluster, person: Person) -> None:
    """An administrator of the namespace may not ask about others; applying a right twice does no harm."""
    cluster.answers["POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews"] = (403, {"message": "no"})
    ran = person("rbac", "py-spy", "--user", "ann")
    assert len(_kinds(ran.out)) == 2
    assert "could not be asked" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--user", "ann", "--group", "sre"),
        ("--service-account", "ci"),
        ("--service-account", ":ci"),
        ("--service-account", "a:b:c"),
    ],
)
def test_one_subject_is_wanted(person: Person, words: tuple[str, ...]) -> None:
    """Half a service account is none."""
    ran = person("rbac", "py-spy", *words)
    assert (ran.status, ran.out) == (2, "")
    assert "--service-account" in ran.err


def test_the_name_of_a_service_account_is_understood(person: Person) -> None:
    """As audit logs and error messages write it."""
    ran = person("rbac", "py-spy", "--user", "system:serviceaccount:build:ci")
    subjects = [document["subjects"][0] for document in yaml.safe_load_all(ran.out)]
    assert subjects == [{"kind": "ServiceAccount", "name": "ci", "namespace": "build"}] * 2


def test_a_tool_that_is_not_there_is_told_with_the_way_out(person: Person) -> None:
    """Nothing is handed out for a word."""
    ran = person("rbac", "pyspy", "--user", "ann")
    assert (ran.status, ran.out) == (2, "")
    assert "did you mean py-spy?" in ran.err


def test_no_right_is_handed_out_where_none_helps(cluster: FakeCluster, person: Person) -> None:
    """A namespace that the tool is not allowed in; what else is in the way is a warning."""
    cluster.put(f"{CONFIGS}/else", a_tool("else", allowedNamespaces=["other"]))
    cluster.put(f"{CONFIGS}/off", a_tool("off", suspended=True))
    cluster.put(f"{CONFIGS}/deep", a_tool("deep", security={"allowPrivileged": True}, allowedNamespaces=["shop"]))
    ran = person("rbac", "else", "--user", "ann")
    assert (ran.status, ran.out) == (2, "")
    assert "nothing is handed out" in ran.err
    off, deep = person("rbac", "off", "--user", "ann"), person("rbac", "deep", "--user", "ann")
    assert (off.status, deep.status) == (0, 0)
    assert "no right helps against this" in off.err
    assert "Privileged containers are not allowed" in deep.err
