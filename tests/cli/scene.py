"""What stands in the fake cluster, and what a command line came to."""

from collections.abc import Callable
from typing import NamedTuple

from tests.builders import APPROVED, config_manifest, merged, powertool_manifest
from tests.cli.fakecluster import RUNS, FakeCluster, Object


class Ran(NamedTuple):
    """Is what a command line came to: exit status, stdout, stderr."""

    status: int
    out: str
    err: str


Person = Callable[..., Ran]
"""Types a command line: ``person("tools", "-o", "json")``."""


def a_tool(name: str, **spec: object) -> Object:
    """Is a PowerToolConfig that asks for nothing special, and was approved."""
    metadata = {"name": name, "uid": None, **APPROVED}
    if "security" not in spec:
        del metadata["annotations"]
    return config_manifest(metadata, name=name, description="where time goes", **spec)


def a_running_pod(name: str, **difference: Object) -> Object:
    """Is a pod labelled app=shop with a running container ``app`` of uid 1001."""
    base = {
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": "shop"}},
        "spec": {"containers": [{"name": "app"}], "nodeName": "node-1"},
        "status": {
            "phase": "Running",
            "containerStatuses": [
                {
                    "name": "app",
                    "containerID": "containerd://c1",
                    "state": {"running": {"startedAt": "2026-03-01T11:00:00Z"}},
                    "user": {"linux": {"uid": 1001, "gid": 1001}},
                }
            ],
        },
    }
    return merged(base, difference)


def a_target(pod: str, **facts: object) -> Object:
    """Is one target of a run's status, by default one that succeeded."""
    base = {"pod": pod, "podUID": f"uid-{pod}", "container": "app", "toolContainer": "toe-py-spy-0123456789"}
    return {**base, "state": "Succeeded", **facts}


def a_run(cluster: FakeCluster, name: str, *targets: Object, phase: str = "Completed", **status: object) -> str:
    """Puts a run into the cluster, finished unless the phase says otherwise, and returns its path."""
    over = phase in ("Completed", "Failed", "Canceled")
    facts: Object = {
        "phase": phase,
        "targets": list(targets),
        "selectedPods": len(targets),
        "completedPods": sum(target["state"] == "Succeeded" for target in targets),
        "conditions": [{"type": "Finished", "status": "True", "reason": phase, "message": "over"}] if over else [],
    }
    manifest = powertool_manifest({"name": name, "namespace": "shop", "uid": None}, tool={"name": "py-spy"})
    cluster.put(f"{RUNS}/{name}", {**manifest, "status": facts | status})
    return f"{RUNS}/{name}"
