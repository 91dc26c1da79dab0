"""What is wrong is found without an attack, and what is right is not."""

from typing import Any

import msgspec
import pytest

from tests.builders import SETTINGS, a_config, judged
from toe.api.fence.objects import fence
from toe.api.meta import GROUP, ObjectMeta
from toe.api.powertoolcatalog import PowerToolCatalogSpec
from toe.plan.catalog import compile_catalog
from toe.policy.duties import Rbac, Role, RoleRule
from toe.policy.inspections import (
    Hook,
    HookRules,
    Node,
    NodeInfo,
    NodeStatus,
    inspect_catalog,
    inspect_fence,
    inspect_nodes,
    inspect_roles,
    inspect_webhook,
)

WANTED = fence(SETTINGS)


def _but(*names: str) -> list[Any]:
    return [obj for obj in WANTED if f"{obj['kind']} {obj['metadata']['name']}" not in names]


def test_what_is_installed_as_generated_is_in_force() -> None:
    """Also beside policies of others."""
    other = {"kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "theirs"}, "spec": {"policyName": "x"}}
    found = inspect_fence(WANTED, [*WANTED, other])
    assert (found.missing, found.dangling, found.changed, found.broken) == ((), (), (), frozenset())


def test_one_fault_is_one_finding() -> None:
    """A policy without binding, a binding without policy, both gone, one changed."""
    policy, binding = "ValidatingAdmissionPolicy toe-fence-exec", "ValidatingAdmissionPolicyBinding toe-fence-exec"
    assert inspect_fence(WANTED, _but(binding)).missing == (binding,)
    both = inspect_fence(WANTED, _but(policy, binding))
    assert (both.missing, both.dangling) == ((policy, binding), ())
    open_ = inspect_fence(WANTED, _but(policy))
    assert (open_.missing, open_.dangling, open_.broken) == ((), (binding,), {"exec"})
    changed = [{**obj, "spec": {**obj["spec"], "failurePolicy": "Ignore"}} for obj in WANTED if "exec" in str(obj)]
    found = inspect_fence(
        WANTED, [*_but(policy), changed[0] | {"metadata": {"name": "toe-fence-exec"}, "kind": policy.split()[0]}]
    )
    assert (found.missing, found.dangling, found.changed, found.broken) == ((), (), (policy,), frozenset())


def test_a_binding_of_ours_that_leads_nowhere_is_found() -> None:
    """By its name or its labels."""
    spec = {"policyName": "toe-fence-gone"}
    marked = {"app.kubernetes.io/part-of": "toe", "app.kubernetes.io/component": "fence"}
    stray = {"kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "old", "labels": marked}, "spec": spec}
    assert inspect_fence(WANTED, [*WANTED, stray]).dangling == ("ValidatingAdmissionPolicyBinding old",)


def test_the_catalog_is_compared_with_the_configs() -> None:
    """Lost, lacking, too much, and other."""
    compiled = compile_catalog(judged(a_config()))
    (tool,) = compiled.tools
    assert inspect_catalog(compiled, compiled) == ()
    assert "lost" in inspect_catalog(None, compiled)[0]
    assert inspect_catalog(PowerToolCatalogSpec(), compiled) == ("aperf is not in it",)
    assert "no usable PowerToolConfig" in inspect_catalog(compiled, PowerToolCatalogSpec())[0]
    other = PowerToolCatalogSpec(tools=(msgspec.structs.replace(tool, image="evil"),))
    assert inspect_catalog(other, compiled) == ("aperf is another one than its PowerToolConfig says",)


def _role(
    name: str, *, groups: Any = (GROUP,), resources: Any = ("powertools",), verbs: Any = ("create",), **meta: Any
) -> Role:
    return Role(ObjectMeta(name=name, **meta), (RoleRule(groups, resources, verbs=verbs),))


@pytest.mark.parametrize(
    ("role", "told"),
    [
        (_role("admin"), "ClusterRole admin (create)"),
        (_role("edit", resources=("powertools/status",), verbs=("get", "patch")), "ClusterRole edit (patch)"),
        (_role("ops", groups=("*",), resources=("*",), verbs=("*",)), "ClusterRole ops (*)"),
        (_role("ops", resources=("*",), verbs=("use",), namespace="shop"), "Role shop/ops (use)"),
        (_role("powertool-user"), ""),
        (_role("admin", verbs=("get",)), ""),
        (_role("ops", groups=("*",), resources=("pods",), verbs=("*",)), ""),
        (_role("cluster-admin", groups=("*",), resources=("*",), verbs=("*",)), ""),
        (
            _role("system:x", groups=("*",), resources=("*",), labels={"kubernetes.io/bootstrapping": "rbac-defaults"}),
            "",
        ),
        (_role("system:mine", groups=("*",), resources=("*",)), "ClusterRole system:mine (create)"),
    ],
)
def test_roles_that_reach_our_kinds_unmeant_are_found(role: Role, told: str) -> None:
    """admin, edit and wildcards; not those that name our kinds on purpose."""
    assert inspect_roles(Rbac((role,))) == ((told,) if told else ())


def test_nodes_whose_yama_forbids_tracing_are_found() -> None:
    """By their system, unless an administrator says what its sysctl is."""

    def node(name: str, image: str, **labels: str) -> Node:
        stated = {f"toe.run/{key.replace('_', '-')}": value for key, value in labels.items()}
        return Node(ObjectMeta(name=name, labels=stated), NodeStatus(NodeInfo(image)))

    found = inspect_nodes(
        [
            node("a", "Ubuntu 24.04"),
            node("b", "Ubuntu 24.04", yama_ptrace_scope="0"),
            node("c", "Debian GNU/Linux 12"),
            node("d", "Debian GNU/Linux 12", yama_ptrace_scope="1"),
        ]
    )
    assert found == ("a (Ubuntu 24.04)", "d (ptrace_scope 1)")


def test_kinds_that_no_webhook_is_asked_about_are_found() -> None:
    """Or one that is open when it is down."""
    rule = RoleRule((GROUP,), ("powertools", "powertoolconfigs"))
    asked = HookRules(ObjectMeta(name="toe"), (Hook("a", (rule,)),))
    assert inspect_webhook([asked]) == ()
    assert len(inspect_webhook([])) == 2
    loose = HookRules(ObjectMeta(name="toe"), (Hook("a", (rule,), "Ignore"),))
    assert inspect_webhook([loose])[0] == "the webhook for powertools is open when it is down"
