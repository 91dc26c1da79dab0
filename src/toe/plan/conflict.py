"""Which pod is taken by which run, and who goes first."""

from collections.abc import Iterable

from toe.api.pod import Pod
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import PowerToolConfig
from toe.plan.snapshot import Rival, Snapshot
from toe.plan.targets import live_tools


def find_conflict(snapshot: Snapshot, config: PowerToolConfig, pods: Iterable[Pod]) -> str:
    """Says which pod is taken by which run; empty when all are free.

    A pod is taken when as many tools are in it, or were frozen for it, as the strictest tool involved accepts. An older
    run that waits for the pod goes first.
    """
    own = config.spec.effective_limits.max_concurrent_per_pod
    order = (snapshot.request.run.metadata.creation_timestamp, snapshot.request.run.metadata.uid)
    for pod in pods:
        uid = pod.metadata.uid
        ahead = [rival for rival in snapshot.rivals if uid in rival.pods and (rival.holds or rival.order < order)]
        strangers = live_tools(pod) - _known_tools(ahead, pod, snapshot)
        limit = min([own, *(rival.max_concurrent for rival in ahead)])
        if len(ahead) + len(strangers) >= limit:
            holder = min(ahead, key=lambda rival: (not rival.holds, *rival.order)).name if ahead else min(strangers)
            return f"Pod {pod.metadata.name} is already being profiled by PowerTool {holder}"
    return ""


def unless_known(run: PowerTool, conflict: str) -> str:
    """Returns what the status says already while the holder is the same: that one more pod is free is no news."""
    told = next((c.message for c in run.status.conditions if c.type == "Conflicted" and c.status == "True"), "")
    return told if told.rpartition(" ")[2] == conflict.rpartition(" ")[2] else conflict


def _known_tools(rivals: Iterable[Rival], pod: Pod, snapshot: Snapshot) -> frozenset[str]:
    """Returns the live containers in a pod that belong to rivals, so that none is counted twice."""
    return frozenset(name for rival in rivals for name in live_tools(pod) if name in rival.tools)
