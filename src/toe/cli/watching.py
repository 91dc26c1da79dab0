"""One run, followed: each of its versions as the server writes them, through cut connections and restarts."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator
from typing import TypeVar

import msgspec

from toe.api.powertool import PowerTool
from toe.errors import ClusterError, DecodeError, ExpiredError, NotFoundError, UnavailableError
from toe.kube.client import Client
from toe.kube.resource import POWERTOOLS
from toe.kube.status import refusal

WATCH = 45
"""Seconds after which the server ends a watch by itself."""
DEAD = 10
"""Seconds after that, at which a watch counts as dead."""
LONGEST_PAUSE = 5.0


T = TypeVar("T")


class _Event(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw


async def versions(client: Client, namespace: str, name: str) -> AsyncGenerator[PowerTool, None]:
    """Yields the run as it is, then each time it changed, for ever; every version is newer than the one before.

    Several changes in a row may come as one. Raises NotFoundError when the run is gone; no other ClusterError but one
    that no repetition mends.
    """
    failures, version = 0, ""
    while True:
        try:
            run = await client.get(POWERTOOLS, namespace, name)
            if run.metadata.resource_version != version:
                version = run.metadata.resource_version
                yield run
            async with contextlib.aclosing(_changes(client, run)) as changes:
                async for run in changes:
                    failures, version = 0, run.metadata.resource_version
                    yield run
        except (UnavailableError, ExpiredError, TimeoutError) as error:
            wish = error.retry_after if isinstance(error, ClusterError) else None
            pause = min(LONGEST_PAUSE, 0.2 * 2.0 ** min(failures, 16)) * random.uniform(0.5, 1.0)  # noqa: S311 spreads load
            failures += 1
            await asyncio.sleep((wish or 0.0) + pause)


async def _changes(client: Client, run: PowerTool) -> AsyncGenerator[PowerTool, None]:
    """Yields what a single watch tells after ``run``; ends when the server ends the watch."""
    params: dict[str, str | int | bool] = {
        "watch": True,
        "fieldSelector": f"metadata.name={run.metadata.name}",
        "resourceVersion": run.metadata.resource_version,
        "allowWatchBookmarks": True,
        "timeoutSeconds": WATCH,
    }
    path = POWERTOOLS.path(run.metadata.namespace)
    async with (
        asyncio.timeout(WATCH + DEAD),
        contextlib.aclosing(client.stream(path, params, label=POWERTOOLS.plural)) as lines,
    ):
        async for line in lines:
            event = _read(line, _Event)
            match event.type:
                case "ERROR":
                    raise refusal(0, event.object)
                case "DELETED":
                    message = f'powertools "{run.metadata.name}" not found'
                    raise NotFoundError(message, status=404, reason="NotFound")
                case "ADDED" | "MODIFIED":
                    yield _read(event.object, PowerTool)


def _read(content: bytes | msgspec.Raw, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise DecodeError(str(error), source="watch of a PowerTool") from error
