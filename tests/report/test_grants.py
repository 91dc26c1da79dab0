"""What is handed out is the least that running a tool takes."""

from typing import Any

import pytest

from tests.builders import APPROVED, a_config, judged
from toe.api.meta import GROUP
from toe.api.settings import PROFILES
from toe.policy.access import Question
from toe.report.grants import Object, Subject, grants, results

ALICE = Subject("User", "alice")
HIGH = {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}, "runAsRoot": True}


def _objects(profile: Any = "standard", subject: Subject = ALICE, **security: Any) -> list[Object]:
    stated = security or {"capabilities": {"drop": ["ALL"]}, "runAsRoot": False}
    (config,) = judged(a_config(APPROVED if "allowPrivileged" in stated else None, security=stated))
    return [obj for grant in grants(config, subject, "shop", PROFILES[profile]) for obj in grant.objects]


def test_a_low_tool_takes_two_bindings() -> None:
    """No Role of its own, and no right to exec where the profile only warns."""
    (user, reader) = _objects(capabilities={"drop": ["ALL"]})
    assert user["roleRef"]["name"] == "powertool-user"
    assert (reader["metadata"]["namespace"], reader["roleRef"]["name"]) == ("toe-system", "powertool-tools-reader")


def test_a_high_tool_takes_use_in_the_run_s_namespace() -> None:
    """On this tool by name, and nothing else."""
    _, role, binding, _ = _objects(**HIGH)
    assert role["metadata"] == {"name": "toe-use-aperf", "namespace": "shop"}
    assert role["rules"] == [
        {"apiGroups": [GROUP], "resources": ["powertoolconfigs"], "resourceNames": ["aperf"], "verbs": ["use"]}
    ]
    assert binding["subjects"] == [{"kind": "User", "name": "alice", "apiGroup": "rbac.authorization.k8s.io"}]


def test_an_extreme_tool_takes_use_in_the_system_namespace() -> None:
    """Named by the run's namespace, so that it opens no other."""
    _, role, binding, _ = _objects(allowPrivileged=True)
    assert role["rules"][0]["resourceNames"] == ["shop.aperf"]
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == "toe-system"


@pytest.mark.parametrize(("profile", "enters"), [("compat", False), ("standard", False), ("hardened", True)])
def test_exec_is_handed_out_only_where_the_profile_refuses_without_it(profile: str, enters: bool) -> None:
    """It is worth more than most tools."""
    rules = [rule for obj in _objects(profile) for rule in obj.get("rules", ())]
    assert ("pods/exec" in [resource for rule in rules for resource in rule["resources"]]) is enters


def test_under_compat_no_tier_needs_use() -> None:
    """The source document to the letter."""
    assert len(_objects("compat", allowPrivileged=True)) == 2


@pytest.mark.parametrize(
    ("subject", "asked", "named"),
    [
        (ALICE, ("alice", ()), {"kind": "User", "name": "alice", "apiGroup": "rbac.authorization.k8s.io"}),
        (Subject("Group", "sre"), ("", ("sre",)), {"kind": "Group", "name": "sre"}),
        (
            Subject("ServiceAccount", "ci", "build"),
            ("system:serviceaccount:build:ci", ("system:serviceaccounts", "system:serviceaccounts:build")),
            {"kind": "ServiceAccount", "name": "ci", "namespace": "build"},
        ),
    ],
)
def test_every_kind_of_subject_is_asked_about_and_bound(subject: Subject, asked: Any, named: Object) -> None:
    """As the API server would know it."""
    username, groups = asked
    assert (subject.identity.username, subject.identity.groups) == (username, (*groups, "system:authenticated"))
    (bound, _) = _objects(subject=subject, capabilities={"drop": ["ALL"]})
    assert named.items() <= bound["subjects"][0].items()


def test_names_of_objects_are_names_and_never_meet() -> None:
    """Whatever a person or group is called."""
    subjects = [
        Subject("User", "ann@example.com"),
        Subject("User", "ann-example.com"),
        Subject("User", "oidc:Ann/ops"),
        Subject("User", "Ω"),
        Subject("Group", "ann-example.com"),
        Subject("ServiceAccount", "com", "ann-example"),
    ]
    slugs = [subject.slug for subject in subjects]
    assert len(set(slugs)) == len(slugs)
    assert all(slug == slug.lower() and slug.replace("-", "").replace(".", "").isalnum() for slug in slugs)
    assert str(subjects[4]) == "the group ann-example.com"
    assert str(subjects[5]) == "the service account ann-example:com"
    assert str(ALICE) == "alice"


def test_the_rights_asked_about_are_those_of_the_objects() -> None:
    """What is there already is left out by these answers."""
    (config,) = judged(a_config(security=HIGH))
    first, use, tools = grants(config, ALICE, "shop", PROFILES["standard"])
    assert Question("create", "powertools", "shop", group=GROUP) in first.rights
    assert use.rights == (Question("use", "powertoolconfigs", "shop", "aperf", GROUP),)
    assert Question("list", "powertoolconfigs", "toe-system", group=GROUP) in tools.rights
    assert [right.resource for right in results("shop")] == ["pods", "pods"]
