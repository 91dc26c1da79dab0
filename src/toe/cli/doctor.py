"""``doctor``: attacks the installed system with dry runs, and prints which layer refused what."""

import json
from collections.abc import Sequence
from contextlib import AsyncExitStack

import msgspec
import yaml

from toe.api.fence.objects import fence
from toe.api.fence.policy import CONTROLLER, WEBHOOK, account
from toe.api.fence.requester import stamp
from toe.api.powertool import PowerTool
from toe.api.settings import Profile, Settings
from toe.cli import patient
from toe.cli.acting import EVERYBODY, Actor, account_of
from toe.cli.call import Call
from toe.cli.cluster import Cluster, reach
from toe.cli.installed import installed_settings
from toe.cli.sentences import ComplaintError
from toe.cli.stand_ins import stand_ins
from toe.kube.access import Impersonation
from toe.kube.calls import DEADLINE
from toe.plan.catalog import compile_catalog
from toe.policy.access import Question
from toe.policy.attacks import ATTACKS, CATALOG_OBJECT, Attack, Who
from toe.policy.attacks import WEBHOOK as NEEDS_WEBHOOK
from toe.policy.attempts import NAME, Scene, Sent
from toe.policy.duties import Rbac, excess
from toe.policy.inspections import (
    PTRACE_LABEL,
    Fence,
    inspect_catalog,
    inspect_fence,
    inspect_nodes,
    inspect_roles,
    inspect_webhook,
    short,
)
from toe.report.sheet import Line, judged, lines, missing_for, plain, status, summary, untried
from toe.report.text import count

MASTERS = "system:masters"
"""The group that RBAC lets do everything, so that only the layers behind RBAC are left to refuse."""
MAKERS_OF_PODS = ("replicaset", "statefulset", "daemon-set", "job")
"""Kubernetes' controllers: who exempts one of them from Pod Security exempts every pod that it makes."""
_RUNBOOK = "docs/howto/lift-the-fence.md"


def doctor(call: Call, profile: Profile | None, output: str, place: str | None = None) -> int:
    """Prints the sheet. Exit status 0 when all passed, 1 when something failed, 3 when something was not tried.

    In the namespace ``place`` pods are made that stand in for those that do not run; without it nothing is made.
    ComplaintError when the person may not act as others.
    """
    return reach(call, lambda cluster: _doctor(cluster, profile, output, place))


async def _doctor(cluster: Cluster, profile: Profile | None, output: str, place: str | None) -> int:
    await _expect_administrator(cluster)
    cluster.settings = await installed_settings(cluster, profile)
    async with AsyncExitStack() as stack:
        actor = await stack.enter_async_context(Actor(cluster.client.access, DEADLINE))
        made = await stack.enter_async_context(stand_ins(cluster, place)) if place else 0
        sheet = await _sheet(cluster, actor)
    screen = cluster.call.screen
    if output == "table":
        screen.lines(lines(sheet, screen.width))
        changed = f"{count(made, 'pod')} that never ran made in {place} and removed" if made else "Nothing was changed"
        screen.say(f"{summary(sheet)}. {changed}.")
    else:
        told = {"lines": plain(sheet), "summary": summary(sheet)}
        screen.document(json.dumps(told, indent=2) if output == "json" else yaml.safe_dump(told, sort_keys=False))
    return status(sheet)


async def _expect_administrator(cluster: Cluster) -> None:
    if cluster.call.flags.as_user:
        hint = "leave out --as; who may run it is decided by the right to impersonate"
        raise ComplaintError("doctor acts as others itself", hints=[hint], status=2)
    wanted = [Question("impersonate", kind, "") for kind in ("users", "groups", "serviceaccounts")]
    if any([await cluster.may(right) is False for right in wanted]):
        raise ComplaintError(
            "doctor acts as users, namespace administrators and the operator, and you may not impersonate anybody",
            hints=["ask an administrator to run it, or for: verb impersonate on users, groups and serviceaccounts"],
            status=2,
        )


async def _sheet(cluster: Cluster, actor: Actor) -> tuple[Line, ...]:
    rbac = await patient.rbac(cluster)
    walls = await _walls(cluster)
    inspected, broken, scene = await _inspected(cluster, rbac, walls)
    callers = _callers(cluster.settings)
    tried = [await _attack(actor, attack, scene, callers, broken) for attack in ATTACKS]
    wrong = (*walls.missing, *unexplained(walls.changed, tried))
    policies = _found("missing policy", "the fence as this version generates it", wrong, _INSTALL)
    return (*tried, policies, *inspected, await _exemptions(actor, cluster.settings))


async def _walls(cluster: Cluster) -> Fence:
    found, is_newest = await patient.policies(cluster)
    wanted = fence(cluster.settings, cluster.settings.profile, stamped=True)
    return inspect_fence((*wanted, *(stamp() if is_newest else ())), found)


def unexplained(changed: Sequence[str], tried: Sequence[Line]) -> tuple[str, ...]:
    """Returns the policies that are not as generated and that no attack got through: the others are told there."""
    failed = {line.name for line in tried if line.outcome == "FAIL"}
    told = {name for attack in ATTACKS if attack.name in failed for name in (*attack.by, *attack.needs)}
    return tuple(f"{name} (not as generated)" for name in changed if short(name) not in told)


async def _inspected(cluster: Cluster, rbac: Rbac, walls: Fence) -> tuple[tuple[Line, ...], frozenset[str], Scene]:
    """Returns the lines of everything that is only looked at, what is not in force, and what can be attacked."""
    settings = cluster.settings
    configs = await cluster.configs()
    fenced = await patient.catalog(cluster)
    hooks = inspect_webhook(await patient.hooks(cluster))
    nodes = await patient.nodes(cluster)
    compiled = compile_catalog(configs, settings)
    lost = () if fenced else (CATALOG_OBJECT,)
    broken = frozenset((*walls.broken, *lost, *((NEEDS_WEBHOOK,) if hooks else ())))
    yama = _found("nodes with Yama", "which nodes forbid tracing", inspect_nodes(nodes), _YAMA)
    if not nodes:
        yama = Line("nodes with Yama", "not tried", "which nodes forbid tracing", answer="there are no nodes")
    found_lines = (
        _found("binding without policy", "bindings whose policy is not there", walls.dangling, _DANGLING),
        _found("lost catalog", "the catalog as the configs say", inspect_catalog(fenced, compiled), _LOST),
        _found("webhook", "who is asked before toe's kinds are written", hooks, _HOOK),
        _found("accounts of toe", "rights that they should not have", excess(rbac, settings), _EXCESS),
        _found("admin, edit, wildcards", "roles that reach toe's kinds", inspect_roles(rbac), _ROLES),
        yama,
    )
    return found_lines, broken, await patient.scene(cluster, configs, fenced)


_INSTALL = "install the fence of this version: policies first, then bindings"
_DANGLING = "such a binding lets everything through: install the policy, or delete the binding"
_LOST = f"is the webhook up? It writes the catalog; while it is lost: {_RUNBOOK}"
_HOOK = "install the webhook; until then duplicates of a tool are seen only when it runs"
_EXCESS = "delete the binding: no account of toe needs more than its own role"
_ROLES = "name the API groups that the role is for; whoever writes PowerToolConfigs is root on every node"
_YAMA = (
    "tools there need SYS_PTRACE and root, in a config of their own; "
    f"or set kernel.yama.ptrace_scope to 0 and label the node {PTRACE_LABEL}=0"
)


def _found(name: str, looked_at: str, wrong: Sequence[str], way_out: str) -> Line:
    if not wrong:
        return Line(name, "PASS", looked_at, answer="nothing found")
    return Line(name, "FAIL", looked_at, answer="; ".join(wrong), way_out=way_out)


async def _attack(
    actor: Actor, attack: Attack, scene: Scene, callers: dict[Who, Impersonation | None], broken: frozenset[str]
) -> Line:
    if need := missing_for(attack, broken):
        return untried(attack, f"{need} is not in force: see below")
    sent = attack.make(scene)
    if isinstance(sent, str):
        return untried(attack, sent)
    caller = callers[attack.who]
    answered, content = await actor.send(
        caller, sent.method, sent.path, sent.body, sent.content_type, is_dry=sent.is_dry
    )
    if not attack.is_stamped or answered.kind != "accepted":
        return judged(attack, answered, let_in=sent.let_in)
    requester = msgspec.json.decode(content, type=PowerTool).spec.requester
    return judged(attack, answered, requester.username if requester else "", caller.user if caller else "")


def _callers(settings: Settings) -> dict[Who, Impersonation | None]:
    """Returns as whom each attack is sent: None for as oneself.

    Kubernetes' own controllers are in every cluster, and hold what an attack takes and none of the rights of toe's that
    would excuse it.
    """
    return {
        "administrator": None,
        "user with every role": Impersonation(user=NAME, groups=(MASTERS, EVERYBODY)),
        "garbage collector": _of_kubernetes("generic-garbage-collector"),
        "namespace controller": _of_kubernetes("namespace-controller"),
        "operator": account_of(settings, CONTROLLER),
        "operator without a pod": account_of(settings, CONTROLLER, bound=False),
        "operator with every role": account_of(settings, CONTROLLER, groups=(MASTERS,)),
        "webhook with every role": account_of(settings, WEBHOOK, groups=(MASTERS,)),
    }


def _of_kubernetes(name: str) -> Impersonation:
    accounts = "system:serviceaccounts"
    user = f"system:serviceaccount:kube-system:{name}"
    return Impersonation(user=user, groups=(accounts, f"{accounts}:kube-system", EVERYBODY))


async def _exemptions(actor: Actor, settings: Settings) -> Line:
    """Lets accounts make a privileged pod where Pod Security enforces a level; who is exempt gets it."""
    name, tried = "Pod Security exemptions", "a privileged pod in the system namespace, as accounts that make pods"
    namespace = settings.system_namespace
    sent = _privileged_pod(namespace)
    users = [account(settings, each) for each in (CONTROLLER, WEBHOOK)]
    users += [f"system:serviceaccount:kube-system:{maker}-controller" for maker in MAKERS_OF_PODS]
    exempt: list[str] = []
    for user in users:
        caller = Impersonation(user=user, groups=(MASTERS, EVERYBODY))
        answered, _ = await actor.send(caller, sent.method, sent.path, sent.body)
        if answered.kind in ("impersonation", "no answer", "not there", "RBAC", "validation", "other"):
            return Line(name, "not tried", tried, user, f"{answered}: {answered.said}")
        if answered.kind != "Pod Security":
            exempt.append(user)
    if len(exempt) == len(users):
        label = f"label the namespace {namespace} pod-security.kubernetes.io/enforce=restricted"
        way_out = f"{label}, and take it out of the exemptions in the API server's AdmissionConfiguration"
        return Line(name, "FAIL", tried, "every one of them", f"Pod Security enforces nothing in {namespace}", way_out)
    if exempt:
        way_out = "take them out of the exemptions in the API server's AdmissionConfiguration"
        return Line(name, "FAIL", tried, ", ".join(exempt), "exempt from Pod Security", way_out)
    return Line(name, "PASS", tried, f"{len(users)} accounts", "Pod Security refused")


def _privileged_pod(namespace: str) -> Sent:
    containers = [{"name": NAME, "image": "canary.invalid/never", "securityContext": {"privileged": True}}]
    spec = {"containers": containers, "serviceAccountName": CONTROLLER, "automountServiceAccountToken": False}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": NAME, "namespace": namespace}, "spec": spec}
    return Sent("POST", f"/api/v1/namespaces/{namespace}/pods", body)
