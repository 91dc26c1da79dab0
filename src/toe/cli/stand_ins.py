"""Pods that stand in for running ones: made for the doctor, never scheduled, gone before it ends.

A scheduling gate that nobody lifts keeps them from any node; that they run is only written into their status, since the
fence lets tools join no other pod. Their image does not exist either.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec

from toe.api.time import format_time
from toe.cli.cluster import Cluster
from toe.cli.sentences import ComplaintError
from toe.errors import ClusterError, NotFoundError
from toe.kube.resource import NAMESPACES, PODS
from toe.policy.attempts import MERGE, NAME

LABEL = "toe.run/doctor"
GATE = "toe.run/never"
_USER = 65532
_CONTAINER = "app"
_SHAPES: Mapping[str, Mapping[str, Any]] = {
    "with a volume": {"volumes": [{"name": "scratch", "emptyDir": {}}]},
    "with hostPID": {"hostPID": True},
}
"""Which pods are made; the first satisfies Pod Security restricted, the second needs privileged."""


@asynccontextmanager
async def stand_ins(cluster: Cluster, namespace: str) -> AsyncIterator[int]:
    """Makes the pods in a namespace, tells how many, and removes them whatever happens inside.

    What cannot be made or removed is a warning. ComplaintError where no tool could join them anyway.
    """
    await _expect_open(cluster, namespace)
    screen = cluster.call.screen
    names: list[str] = []
    try:
        for shape, spec in _SHAPES.items():
            try:
                names.append(await _make(cluster, namespace, spec))
                await _run_on_paper(cluster, namespace, names[-1])
            except ClusterError as error:
                screen.warn(f"a pod {shape} could not be made in {namespace}: {error.message}")
        yield len(names)
    finally:
        for name in names:
            try:
                with suppress(NotFoundError):
                    await cluster.client.delete(PODS, namespace, name, grace_period_seconds=0)
            except ClusterError as error:
                screen.warn(f"remove the pod {name} in {namespace} yourself: {error.message}")


async def _expect_open(cluster: Cluster, namespace: str) -> None:
    if namespace in cluster.settings.protected_namespaces:
        raise ComplaintError(
            f"no tool may enter {namespace}", hints=["--make-pods-in NAMESPACE: one that tools may enter"], status=2
        )
    try:
        await cluster.client.get(NAMESPACES, None, namespace)
    except NotFoundError:
        hints = [f"kubectl create namespace {namespace}"]
        raise ComplaintError(f"there is no namespace {namespace}", hints=hints, status=2) from None


async def _make(cluster: Cluster, namespace: str, more: Mapping[str, Any]) -> str:
    security = {
        "runAsNonRoot": True,
        "runAsUser": _USER,
        "runAsGroup": _USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    own = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    spec = {
        "schedulingGates": [{"name": GATE}],
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": security,
        "containers": [{"name": _CONTAINER, "image": "canary.invalid/never", "securityContext": own}],
        **more,
    }
    metadata = {"generateName": f"{NAME}-", "namespace": namespace, "labels": {LABEL: "stand-in"}}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    made = msgspec.json.decode(await cluster.client.raw("POST", PODS.path(namespace), body=body))
    name: str = made["metadata"]["name"]
    return name


async def _run_on_paper(cluster: Cluster, namespace: str, name: str) -> None:
    """Writes what a kubelet would say of a pod that runs."""
    began = format_time(cluster.call.now())
    container: dict[str, Any] = {"name": _CONTAINER, "image": "", "imageID": "", "ready": True, "restartCount": 0}
    container |= {"state": {"running": {"startedAt": began}}, "user": {"linux": {"uid": _USER, "gid": _USER}}}
    status = {"status": {"phase": "Running", "containerStatuses": [container]}}
    await cluster.client.raw("PATCH", PODS.path(namespace, name, "status"), body=status, content_type=MERGE)
