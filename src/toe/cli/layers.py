"""What each layer says about a run: asked where the person may ask it, predicted by toe's own rules where not."""

from collections.abc import Mapping
from typing import Any

import msgspec

from toe.api.codec import to_builtins
from toe.api.fence.policy import CONTROLLER, NAME_PREFIX, PRIVILEGED_LABEL, TOOLS_LABEL
from toe.api.powertool import PowerTool
from toe.api.powertoolcatalog import NAME as CATALOG
from toe.api.powertoolcatalog import CatalogTool
from toe.cli.acting import Actor, account_of
from toe.cli.cluster import Cluster
from toe.cli.snapshot import ENFORCE, Observed, forbidden_by_pod_security
from toe.cli.verdicts import missing, refusals
from toe.errors import ClusterError
from toe.kube.resource import PODS, POWERTOOLCATALOGS, POWERTOOLS
from toe.plan.catalog import compile_catalog
from toe.plan.container import ToolContainer
from toe.policy.access import Answers, Question
from toe.policy.chains import RUN, evaluate
from toe.policy.layer import Answered
from toe.policy.request import JudgedConfig, Request
from toe.policy.verdict import Allowed, Denied, Undecided
from toe.report.verdicts import Layer

STRATEGIC = "application/strategic-merge-patch+json"
_ACCEPTED = "it did not refuse a dry run as the operator"
FENCE, POD_SECURITY, WHOLE = "fence", "Pod Security", "API server"


async def creation(cluster: Cluster, actor: Actor, raw: Mapping[str, Any]) -> tuple[Layer, Layer]:
    """Returns what schema and webhook, and then the stamp, say when the person creates the run: a real dry run."""
    meta = {key: value for key, value in raw["metadata"].items() if key in ("labels", "annotations")}
    name = raw["metadata"].get("name") or raw["metadata"]["generateName"].rstrip("-")
    body = {**raw, "metadata": {**meta, "generateName": f"{name}-", "namespace": cluster.namespace}}
    answered, content = await actor.send(None, "POST", POWERTOOLS.path(cluster.namespace), body)
    if answered.kind != "accepted":
        said = f"{answered}: {answered.said}" if answered.said else str(answered)
        return Layer("creation", "refuses", said), Layer("stamp", "not known", "nothing was stamped")
    requester = msgspec.json.decode(content, type=PowerTool).spec.requester
    return Layer("creation", "passes", "schema, CEL rules, policies and webhook accept it"), stamp(
        requester.username if requester else ""
    )


def stamp(username: str) -> Layer:
    """Returns what the stamp says: who asked, as the API server wrote it."""
    if username:
        return Layer("stamp", "passes", f"asked by {username}")
    return Layer("stamp", "refuses", "nobody is stamped as the requester: the stamp is not installed")


def chain(request: Request, program: str) -> Layer:
    """Returns the verdict of the controller's own rules."""
    match evaluate(RUN, request):
        case Denied() as denied:
            errors, hints = refusals(denied, request.config)
            return Layer("rules", "refuses", "; ".join(errors), way_out="; ".join(hints))
        case Undecided() as undecided:
            errors, hints = missing(undecided, request, program)
            return Layer("rules", "waits", "; ".join(errors), way_out="; ".join(hints))
        case Allowed():
            return Layer("rules", "passes", "every rule of the chain RUN holds")


def rights(answers: Answers, request: Request, program: str) -> tuple[Layer, ...]:
    """Returns one line for each right that the run takes; for one that is missing, the command that grants it."""
    requester, run = request.run.spec.requester, request.run
    user = requester.username if requester else "somebody"
    option = f"--user {user}"
    if requester is not None and requester.is_service_account:
        option = f"--service-account {user.removeprefix('system:serviceaccount:')}"
    command = f"{program} rbac {run.spec.tool.name} {option} -n {run.metadata.namespace} | kubectl apply -f -"
    return tuple(_right(right, answer, user, command) for right, answer in answers.items())


def _right(right: Question, answer: bool | None, user: str, command: str) -> Layer:
    if answer is None:
        return Layer("right", "not known", f"{right}: whether {user} has it could not be asked")
    if answer:
        return Layer("right", "passes", f"{user} has {right}")
    return Layer("right", "refuses", f"{user} lacks {right}", way_out=f"an administrator grants it: {command}")


async def catalog_entry(cluster: Cluster, tool: str) -> CatalogTool | str | None:
    """Returns the fence's entry of a tool, None where it has none, or why the catalog could not be read."""
    try:
        catalog = await cluster.client.get(POWERTOOLCATALOGS, cluster.settings.system_namespace, CATALOG)
    except ClusterError as error:
        return error.message
    return next((entry for entry in catalog.spec.tools if entry.name == tool), None)


def predicted_fence(judged: JudgedConfig, entry: CatalogTool | str | None, request: Request) -> Layer:
    """Returns what the fence will say to what toe renders: that is the catalog's by construction, if it is in there."""
    settings, namespace = request.settings, request.run.metadata.namespace
    labels, tool = request.namespace_labels, judged.config.spec.name

    def refuses(policy: str, says: str, way_out: str = "") -> Layer:
        return Layer(FENCE, "refuses", f"{NAME_PREFIX}{policy}: {says}", asked=False, way_out=way_out)

    if namespace in settings.protected_namespaces:
        return refuses("uncovered", f"{namespace} is protected")
    if labels is None:
        return Layer(FENCE, "not known", "the labels of the namespace could not be read", asked=False)
    if settings.profile == "hardened" and labels.get(TOOLS_LABEL) != "enabled":
        return refuses("uncovered", f"{namespace} lacks the label {TOOLS_LABEL}=enabled")
    wanted = next((tool_ for tool_ in compile_catalog([judged], settings).tools), None)
    if wanted is None or entry is None:
        return refuses("catalog", f"{tool} is not in the catalog", "is the PowerToolConfig Ready and not suspended?")
    if isinstance(entry, CatalogTool) and entry != wanted:
        return refuses("catalog", f"the catalog holds another {tool} than the PowerToolConfig", "is the webhook up?")
    if wanted.privileged and labels.get(PRIVILEGED_LABEL) != "true":
        return refuses("catalog", f"{namespace} lacks the label {PRIVILEGED_LABEL}=true")
    read = "" if isinstance(entry, CatalogTool) else " (the catalog itself could not be read)"
    return Layer(FENCE, "passes", f"the container is what the catalog says{read}", asked=False)


def predicted_pod_security(judged: JudgedConfig, observed: Observed) -> Layer:
    """Returns what Pod Security will say to the tool's container; of the rest of the pod toe knows nothing."""
    labels = observed.snapshot.request.namespace_labels
    if labels is None:
        return Layer(POD_SECURITY, "not known", "the labels of the namespace could not be read", asked=False)
    if why := forbidden_by_pod_security(judged, dict(labels)):
        return Layer(POD_SECURITY, "refuses", why, asked=False)
    needs, enforced = judged.readiness.pod_security_level, dict(labels).get(ENFORCE, "nothing")
    return Layer(POD_SECURITY, "passes", f"the namespace enforces {enforced}, the tool needs {needs}", asked=False)


async def injection(cluster: Cluster, actor: Actor, pod: str, container: ToolContainer) -> tuple[Layer, ...] | None:
    """Returns what the API server says when the operator adds the container: a real dry run as its account.

    None when the person may not act as the operator.
    """
    path = PODS.path(cluster.namespace, pod, "ephemeralcontainers")
    body = {"spec": {"ephemeralContainers": [to_builtins(container)]}}
    answered, _ = await actor.send(account_of(cluster.settings, CONTROLLER), "PATCH", path, body, STRATEGIC)
    if answered.kind == "impersonation":
        return None
    return _injection(answered)


def _injection(answered: Answered) -> tuple[Layer, ...]:
    """Returns one line a layer; what comes behind the one that refused was not heard."""
    said = answered.said or str(answered)
    if answered.kind == "accepted":
        whole = Layer(WHOLE, "passes", "a dry run as the operator was accepted, by every webhook and quota too")
        return Layer(POD_SECURITY, "passes", _ACCEPTED), Layer(FENCE, "passes", _ACCEPTED), whole
    silent = Layer(FENCE, "not known", "not heard: another layer refused first")
    if answered.kind == "Pod Security":
        return Layer(POD_SECURITY, "refuses", said), silent
    passed = Layer(POD_SECURITY, "passes", _ACCEPTED)
    if answered.kind == "policy" and answered.name.startswith(NAME_PREFIX):
        return passed, Layer(FENCE, "refuses", f"{answered.name}: {said}")
    if answered.kind == "no answer":
        return (Layer(WHOLE, "not known", said),)
    hint = ""
    if answered.kind == "RBAC":
        hint = "the operator's own rights are incomplete: install its roles again"
    return (Layer(WHOLE, "refuses", f"{answered}: {said}", way_out=hint),)
