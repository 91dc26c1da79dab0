"""What ``doctor`` sees without attacking: policies, bindings, the catalog, roles and nodes. Each says what is wrong."""

from collections.abc import Iterable

from toe.api.fence.canary import gaps
from toe.api.fence.policy import MARKS, NAME_PREFIX, Object
from toe.api.meta import GROUP, ObjectMeta, Struct
from toe.api.powertoolcatalog import PLURAL as CATALOGS
from toe.api.powertoolcatalog import PowerToolCatalogSpec
from toe.policy.duties import Rbac, Role, RoleRule

_KINDS = frozenset(("powertools", "powertoolconfigs", CATALOGS, "toolcontainers"))
_WRITES = frozenset(("create", "update", "patch", "delete", "deletecollection", "use", "open", "exec", "attach", "*"))
_FOR_PEOPLE = ("admin", "edit")
BOOTSTRAPPED = "kubernetes.io/bootstrapping"
PTRACE_LABEL = "toe.run/yama-ptrace-scope"
"""A node's label by which an administrator says what its sysctl kernel.yama.ptrace_scope is."""


class NodeInfo(Struct, frozen=True):
    """Is what a node says of its system."""

    os_image: str = ""


class NodeStatus(Struct, frozen=True):
    """Is the slice of a node's status."""

    node_info: NodeInfo = NodeInfo()


class Node(Struct, frozen=True):
    """Is the slice of a Node that the doctor reads."""

    metadata: ObjectMeta
    status: NodeStatus = NodeStatus()


class Fence(Struct, frozen=True):
    """Is what is wrong with the fence's objects, each as ``Kind name``; one fault is in one of the lists."""

    missing: tuple[str, ...]
    """Not there, neither policy nor what binds it."""
    dangling: tuple[str, ...]
    """Bindings whose policy is not there: silently open."""
    changed: tuple[str, ...]
    """There, but not as this version generates them."""

    @property
    def broken(self) -> frozenset[str]:
        """Is the policies that are not in force, without their prefix."""
        return frozenset(short(name) for name in (*self.missing, *self.dangling))


def short(named: str) -> str:
    """Returns the policy that ``Kind name`` is about, without its prefix."""
    return named.partition(" ")[2].removeprefix(NAME_PREFIX)


def inspect_fence(wanted: Iterable[Object], found: Iterable[Object]) -> Fence:
    """Compares what is installed with what this version generates."""
    have = list(found)
    there = {f"{obj['kind']} {obj['metadata']['name']}" for obj in have}
    dangling = []
    for obj in have:
        kind, name = obj["kind"], obj["metadata"]["name"]
        ours = name.startswith(NAME_PREFIX) or MARKS.items() <= (obj["metadata"].get("labels") or {}).items()
        policy = f"{kind.removesuffix('Binding')} {(obj.get('spec') or {}).get('policyName', '')}"
        if ours and kind.endswith("Binding") and policy not in there:
            dangling.append(f"{kind} {name}")
    differing = gaps(wanted, have)
    missing = [gap for gap in differing if gap not in there and gap.replace(" ", "Binding ", 1) not in dangling]
    return Fence(tuple(missing), tuple(dangling), tuple(gap for gap in differing if gap in there))


def inspect_catalog(catalog: PowerToolCatalogSpec | None, compiled: PowerToolCatalogSpec) -> tuple[str, ...]:
    """Lists how the catalog differs from what the configs say; a lost one says what that means."""
    if catalog is None:
        return ("it is lost: nobody can add an ephemeral container to any pod, nor can kubectl debug",)
    have, want = ({tool.name: tool for tool in spec.tools} for spec in (catalog, compiled))
    found = [f"{name} is not in it" for name in want.keys() - have.keys()]
    found += [f"{name} is in it, and no usable PowerToolConfig says so" for name in have.keys() - want.keys()]
    changed = [name for name in want.keys() & have.keys() if have[name] != want[name]]
    found += [f"{name} is another one than its PowerToolConfig says" for name in changed]
    return tuple(sorted(found))


def inspect_roles(rbac: Rbac) -> tuple[str, ...]:
    """Lists roles that reach toe's kinds though nobody meant it: admin, edit, and those with wildcards.

    ``cluster-admin`` and Kubernetes' own controllers are left out: they are what they are in every cluster.
    """
    found = []
    for role in rbac.roles:
        if role.metadata.name == "cluster-admin" or _is_system(role):
            continue
        for rule in role.rules or ():
            if verbs := _reaches(role, rule):
                kind = f"Role {role.metadata.namespace}/" if role.metadata.namespace else "ClusterRole "
                found.append(f"{kind}{role.metadata.name} ({', '.join(verbs)})")
    return tuple(dict.fromkeys(found))


def _is_system(role: Role) -> bool:
    return role.metadata.name.startswith("system:") and BOOTSTRAPPED in (role.metadata.labels or {})


def _reaches(role: Role, rule: RoleRule) -> tuple[str, ...]:
    groups, resources = rule.api_groups or (), rule.resources or ()
    is_wild = "*" in groups or (GROUP in groups and "*" in resources)
    ours = (GROUP in groups or "*" in groups) and (
        "*" in resources or any(resource.partition("/")[0] in _KINDS for resource in resources)
    )
    if not ours or not (is_wild or role.metadata.name in _FOR_PEOPLE):
        return ()
    return tuple(verb for verb in rule.verbs if verb in _WRITES)


def inspect_nodes(nodes: Iterable[Node]) -> tuple[str, ...]:
    """Lists nodes whose Yama forbids a process to trace another of its own user, as far as their systems tell."""
    found = []
    for node in nodes:
        stated = (node.metadata.labels or {}).get(PTRACE_LABEL)
        image = node.status.node_info.os_image
        if stated not in (None, "0"):
            found.append(f"{node.metadata.name} (ptrace_scope {stated})")
        elif stated is None and "ubuntu" in image.lower():
            found.append(f"{node.metadata.name} ({image})")
    return tuple(found)


class Hook(Struct, frozen=True):
    """Is one webhook of a ValidatingWebhookConfiguration, as far as it tells whom it asks about."""

    name: str
    rules: tuple[RoleRule, ...] | None = None
    failure_policy: str = "Fail"


class HookRules(Struct, frozen=True):
    """Is a ValidatingWebhookConfiguration."""

    metadata: ObjectMeta
    webhooks: tuple[Hook, ...] | None = None


def inspect_webhook(configurations: Iterable[HookRules]) -> tuple[str, ...]:
    """Lists toe's kinds that no webhook is asked about, or only one that lets things through when it is down."""
    asked: dict[str, bool] = {}
    for configuration in configurations:
        for hook in configuration.webhooks or ():
            for rule in hook.rules or ():
                for kind in ("powertools", "powertoolconfigs"):
                    if GROUP in (rule.api_groups or ()) and kind in (rule.resources or ()):
                        asked[kind] = asked.get(kind, False) or hook.failure_policy == "Fail"
    found = [f"no webhook is asked about {kind}" for kind in ("powertools", "powertoolconfigs") if kind not in asked]
    return (*found, *(f"the webhook for {kind} is open when it is down" for kind, shut in asked.items() if not shut))
