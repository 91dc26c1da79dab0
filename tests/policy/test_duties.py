"""What toe's accounts are for is what is installed for them, and one right more is found."""

import itertools
from typing import Any

import msgspec
import pytest

from charts import rights
from tests.builders import SETTINGS
from toe.api.fence.policy import CONTROLLER, WEBHOOK
from toe.api.meta import ObjectMeta
from toe.policy.duties import DUTIES, EVERYBODY, Rbac, Role, RoleBinding, RoleRef, RoleRule, RoleSubject, excess

OURS = RoleSubject("ServiceAccount", CONTROLLER, "toe-system")


def _installed() -> Rbac:
    objects = rights.everything(SETTINGS)
    roles = [msgspec.convert(obj, Role) for obj in objects if obj["kind"] in ("Role", "ClusterRole")]
    bindings = [msgspec.convert(obj, RoleBinding) for obj in objects if obj["kind"].endswith("Binding")]
    return Rbac(tuple(roles), tuple(bindings))


def _with(subject: RoleSubject, *rules: RoleRule, namespace: str = "", kind: str = "ClusterRole") -> Rbac:
    meta = ObjectMeta(name="more", namespace=namespace)
    role = Role(meta if kind == "Role" else ObjectMeta(name="more"), rules)
    return Rbac((role,), (RoleBinding(meta, RoleRef(kind, "more"), (subject,)),))


def test_what_is_installed_is_no_more_than_the_duties() -> None:
    """The chart and the doctor agree."""
    assert excess(_installed(), SETTINGS) == ()


@pytest.mark.parametrize(
    ("subject", "rule", "namespace", "told"),
    [
        (
            OURS,
            RoleRule(("",), ("secrets",), verbs=("get",)),
            "",
            "toe-controller: get on secrets, by ClusterRoleBinding more",
        ),
        (OURS, RoleRule(("*",), ("*",), verbs=("*",)), "shop", "toe-controller: * on *.*, by RoleBinding shop/more"),
        (
            RoleSubject("User", "system:serviceaccount:toe-system:default"),
            RoleRule(("",), ("pods",), verbs=("get",)),
            "",
            "default: get on pods, by ClusterRoleBinding more",
        ),
        (
            RoleSubject("Group", "system:serviceaccounts:toe-system"),
            RoleRule(("",), ("pods",), verbs=("get",)),
            "",
            "every account of toe-system: get on pods, by ClusterRoleBinding more",
        ),
        (
            RoleSubject("ServiceAccount", WEBHOOK, "toe-system"),
            RoleRule(("codriverlabs.ai.toe.run",), ("powertoolcatalogs",), verbs=("patch",)),
            "toe-system",
            "toe-webhook: patch on powertoolcatalogs.codriverlabs.ai.toe.run, by RoleBinding toe-system/more",
        ),
    ],
)
def test_one_right_more_is_found(subject: Any, rule: RoleRule, namespace: str, told: str) -> None:
    """With the binding that gives it; a name that is left out of the rule is more, too."""
    assert excess(_with(subject, rule, namespace=namespace), SETTINGS) == (told,)


def test_rights_of_others_and_of_everybody_are_none_of_ours() -> None:
    """Reviews of oneself, reading runs, another namespace's accounts, and a role that is not there."""
    read = RoleRule(("codriverlabs.ai.toe.run",), ("powertools",), verbs=("get",))
    everybody = RoleSubject("Group", "system:authenticated")
    assert excess(_with(everybody, read), SETTINGS) == ()
    secrets = RoleRule(("",), ("secrets",), verbs=("get",))
    assert excess(_with(RoleSubject("ServiceAccount", CONTROLLER, "other"), secrets), SETTINGS) == ()
    assert excess(_with(RoleSubject("User", "ann"), secrets), SETTINGS) == ()
    lost = msgspec.structs.replace(_with(OURS, secrets), roles=())
    assert excess(lost, SETTINGS) == ()
    local = _with(OURS, secrets, namespace="shop", kind="Role")
    assert len(excess(local, SETTINGS)) == 1


def test_every_duty_says_what_it_is_for() -> None:
    """Who has to grant a right reads why."""
    assert [duty for duty in (*itertools.chain(*DUTIES.values()), *EVERYBODY) if not duty.why.strip()] == []
