"""A client without logic that sends the same writes as the controller for the runs that exist: the floor.

For each run: a status (frozen), the container, a status (running); when all have those, a status (finished); and beside
that the events. It reads two lists at the start and watches nothing.
"""

import asyncio
import itertools
import sys
from pathlib import Path
from typing import Any

import uvloop

from toe.kube.access import from_kubeconfig
from toe.kube.client import Client
from toe.kube.resource import EVENTS, PODS, POWERTOOLS

IN_FLIGHT = 32
EVENTS_IN_FLIGHT = 1
"""As the controller's recorder: one at a time."""
TEXT = "a message of about the length that the controller's own messages have"
WHEN = "2026-01-01T00:00:00Z"


async def main(kubeconfig: Path, namespace: str) -> None:
    """Sends all writes, then waits to be stopped."""
    async with Client(from_kubeconfig([kubeconfig])) as client:
        runs, _ = await client.list(POWERTOOLS, namespace)
        pods, _ = await client.list(PODS, namespace)
        by_group: dict[str, list[Any]] = {}
        for pod in pods:
            by_group.setdefault((pod.metadata.labels or {})["group"], []).append(pod)
        gate = asyncio.Semaphore(IN_FLIGHT)
        later = asyncio.Semaphore(EVENTS_IN_FLIGHT)

        async def start(run: Any) -> None:
            targets = _targets(run, by_group)
            async with gate:
                await client.patch(*_status(run, "Pending", targets), kind="merge", subresource="status")
                await asyncio.gather(*(_add(client, run, pod) for pod in targets))
                await client.patch(*_status(run, "Running", targets), kind="merge", subresource="status")

        async def finish(run: Any) -> None:
            async with gate:
                await client.patch(
                    *_status(run, "Completed", _targets(run, by_group)), kind="merge", subresource="status"
                )

        async def tell(run: Any) -> None:
            async with later:
                for number in range(2 + 2 * len(_targets(run, by_group))):
                    await client.create(EVENTS, namespace, _event(run, number))

        async with asyncio.TaskGroup() as group:
            for run in runs:
                group.create_task(tell(run))
            await asyncio.gather(*(start(run) for run in runs))
            await asyncio.gather(*(finish(run) for run in runs))
        await asyncio.Event().wait()


def _targets(run: Any, by_group: dict[str, list[Any]]) -> list[Any]:
    return by_group[(run.spec.targets.label_selector.match_labels or {})["group"]]


async def _add(client: Client, run: Any, pod: Any) -> None:
    container = {
        "name": f"toe-bench-{run.metadata.uid[:10].replace('-', '0')}",
        "image": "registry.example/tool:1",
        "targetContainerName": "app",
        "command": ["/toe-run", "--", "tool", "--user-args--"],
        "env": [{"name": f"TOE_{number}", "value": "a value of some length"} for number in range(15)],
        "securityContext": {
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": [], "drop": ["ALL"]},
            "runAsUser": 1001,
            "runAsGroup": 1001,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    body = {"metadata": {"uid": pod.metadata.uid}, "spec": {"ephemeralContainers": [container]}}
    await client.patch(
        PODS, pod.metadata.namespace, pod.metadata.name, body, kind="strategic", subresource="ephemeralcontainers"
    )


def _status(run: Any, phase: str, pods: list[Any]) -> tuple[Any, str, str, dict[str, Any]]:
    conditions = [
        {"type": kind, "status": "True", "reason": phase, "message": TEXT, "lastTransitionTime": WHEN}
        for kind in ("Accepted", "Running", "Completed", "Failed", "Finished")[: 5 if phase == "Completed" else 2]
    ]
    targets = [
        {
            "pod": pod.metadata.name,
            "podUID": pod.metadata.uid,
            "container": "app",
            "node": "toy",
            "toolContainer": "toe-bench-0000000000",
            "state": "Running",
        }
        for pod in pods
    ]
    status = {
        "phase": phase,
        "conditions": conditions,
        "targets": targets,
        "selectedPods": len(pods),
        "startedAt": WHEN,
        "notAfter": WHEN,
        "config": {"name": "bench", "uid": run.metadata.uid, "generation": 1, "digest": "sha256:" + "0" * 64},
    }
    return POWERTOOLS, run.metadata.namespace, run.metadata.name, {"status": status}


_numbers = itertools.count()


def _event(run: Any, number: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{run.metadata.name}.{next(_numbers)}", "namespace": run.metadata.namespace},
        "involvedObject": {
            "apiVersion": POWERTOOLS.api_version,
            "kind": "PowerTool",
            "namespace": run.metadata.namespace,
            "name": run.metadata.name,
            "uid": run.metadata.uid,
        },
        "type": "Normal",
        "reason": f"Reason{number}",
        "message": TEXT,
        "count": 1,
        "firstTimestamp": WHEN,
        "lastTimestamp": WHEN,
        "source": {"component": "bench"},
        "reportingComponent": "bench",
    }


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), sys.argv[2]))
