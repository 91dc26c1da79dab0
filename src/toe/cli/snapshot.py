"""Reads what the controller would read about a run, once, as the person who asks."""

from datetime import datetime

import msgspec

from toe.api.pod import Pod
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import OutputMode, PodSecurityLevel
from toe.api.settings import Settings
from toe.cli.cluster import Cluster
from toe.errors import ForbiddenError
from toe.kube.resource import PODS, POWERTOOLS
from toe.plan.snapshot import Rival, Snapshot, rival_of
from toe.plan.targets import ENDED
from toe.policy.identity import is_eligible
from toe.policy.request import JudgedConfig, Request

ENFORCE = "pod-security.kubernetes.io/enforce"
LEVELS: tuple[PodSecurityLevel, ...] = ("restricted", "baseline", "privileged")
"""From strictest to widest. Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/"""


class Observed(msgspec.Struct, frozen=True):
    """Is a snapshot, the matching pods that no tool may enter, and what could not be read."""

    snapshot: Snapshot
    left_out: tuple[Pod, ...] = ()
    unread: tuple[str, ...] = ()


async def observe(cluster: Cluster, run: PowerTool, now: datetime) -> Observed:
    """Reads configs, namespace, pods and other runs. ForbiddenError when configs or pods may not be read."""
    configs = await cluster.configs()
    holders = tuple(judged for judged in configs if judged.config.spec.name == run.spec.tool.name)
    labels = await cluster.namespace_labels()
    unread = () if labels is not None else (f"the labels of the namespace {cluster.namespace}",)
    pods = await _pods(cluster, run)
    matching = tuple(pod for pod in pods if is_eligible(pod))
    try:
        runs = (await cluster.client.list(POWERTOOLS, cluster.namespace))[0]
    except ForbiddenError:
        runs, unread = [], (*unread, "which other runs there are")
    asker = await cluster.asker(await cluster.user(), *holders, pods=matching)
    request = Request(
        run=asker.asking(run),
        configs=holders,
        tool_names=tuple(judged.config.spec.name for judged in configs),
        settings=_with_collector(cluster.settings, holders),
        namespace_labels=labels,
        matching=len(matching),
        access=asker.access,
        now=now,
    )
    return Observed(
        snapshot=Snapshot(now=now, request=request, matching=matching, rivals=_rivals(run, runs, matching, configs)),
        left_out=tuple(pod for pod in pods if not is_eligible(pod)),
        unread=unread,
    )


def _with_collector(settings: Settings, holders: tuple[JudgedConfig, ...]) -> Settings:
    """Returns the settings with the collector's address, as the controller publishes it in each config's status."""
    known = (judged.config.status.collector for judged in holders)
    return msgspec.structs.replace(settings, collector=settings.collector or next(filter(None, known), ""))


def preferred_mode(observed: Observed) -> OutputMode:
    """Returns where files go when nobody says so: to the collector where there is one and the tool may use it."""
    request = observed.snapshot.request
    if request.config is None:
        return "ephemeral"
    usable = [m for m in request.config.spec.output_modes if m != "collector" or request.settings.collector]
    return next((mode for mode in ("collector", "ephemeral") if mode in usable), "ephemeral")


def will_be_forbidden(observed: Observed) -> str:
    """Says why the API server would not take the tool's container; empty when it would, or nobody knows."""
    request = observed.snapshot.request
    if request.config is None:
        return ""
    return forbidden_by_pod_security(request.configs[0], dict(request.namespace_labels or {}))


def forbidden_by_pod_security(config: JudgedConfig, labels: dict[str, str] | None) -> str:
    """Says why the namespace's Pod Security level does not permit the tool; empty when it does, or nobody knows."""
    enforced = (labels or {}).get(ENFORCE, "privileged")
    needs = config.readiness.pod_security_level
    if enforced not in LEVELS or LEVELS.index(needs) <= LEVELS.index(enforced):
        return ""
    return f"the namespace enforces Pod Security {enforced}, {config.config.spec.name} needs {needs}"


def why_left_out(pod: Pod) -> str:
    """Says why no tool may enter a pod that the selector matches."""
    if pod.metadata.deletion_timestamp:
        return "the pod is terminating"
    if pod.status.phase != "Running":
        return f"the pod is {pod.status.phase or 'not running'}"
    if pod.spec.os is not None and pod.spec.os.name == "windows":
        return "tools run on Linux only"
    return "a static pod cannot be joined"


async def _pods(cluster: Cluster, run: PowerTool) -> tuple[Pod, ...]:
    selector = run.spec.targets.label_selector
    if not selector.is_positive:
        return ()
    found, _ = await cluster.client.list(PODS, cluster.namespace, label_selector=str(selector))
    return tuple(sorted((pod for pod in found if selector.matches(pod.metadata.labels)), key=lambda p: p.metadata.name))


def _rivals(
    run: PowerTool, others: list[PowerTool], pods: tuple[Pod, ...], configs: tuple[JudgedConfig, ...]
) -> tuple[Rival, ...]:
    found = []
    for other in others:
        if other.metadata.uid == run.metadata.uid or other.status.is_finished:
            continue
        holds = other.status.is_frozen
        if holds:
            uids = frozenset(target.pod_uid for target in other.status.targets if target.state not in ENDED)
        elif other.status.phase == "Conflicted":
            selector = other.spec.targets.label_selector
            uids = frozenset(pod.metadata.uid for pod in pods if selector.matches(pod.metadata.labels))
        else:
            continue
        own = [judged.config for judged in configs if judged.config.spec.name == other.spec.tool.name]
        found.append(rival_of(other, own, uids, holds=holds))
    return tuple(found)
