"""The log of one tool's container, read through the API server."""

import contextlib
from collections.abc import AsyncGenerator

from toe.api.powertool import Target
from toe.kube.client import Client
from toe.kube.resource import PODS

MOST_BYTES = 256 * 2**20
"""More than a kubelet keeps of a container's log unless it was told otherwise (10 MiB)."""
SECONDS = 600.0


def path(namespace: str, pod: str) -> str:
    """Returns where a pod's logs are.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#get-read-log-of-the-specified-pod
    """
    return PODS.path(namespace, pod, "log")


async def whole(client: Client, namespace: str, target: Target) -> bytes:
    """Returns everything that the node still has of a tool's log."""
    params: dict[str, str | int | bool] = {"container": target.tool_container, "limitBytes": MOST_BYTES}
    return await client.raw("GET", path(namespace, target.pod), params=params, deadline=SECONDS)


async def followed(
    client: Client, namespace: str, target: Target, since: str = ""
) -> AsyncGenerator[tuple[str, bytes], None]:
    """Yields (time, line) of a tool's log as it grows, until its container ends. ``since`` leaves out what is older.

    With times in front no line is empty, so blank lines of the tool are kept.
    """
    params: dict[str, str | int | bool] = {"container": target.tool_container, "follow": True, "timestamps": True}
    if since:
        params["sinceTime"] = since
    source = client.stream(path(namespace, target.pod), params, label="pods/log", verb="get")
    async with contextlib.aclosing(source) as lines:
        async for line in lines:
            time, _, text = line.partition(b" ")
            yield time.decode(errors="replace"), text
