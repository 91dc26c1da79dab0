"""A kubelet without a node: it says that pods run and that tools start and end, and nothing runs.

It is enough for everything that the controller can know of a node, and a hundred pods cost nothing::

    async with ToyKubelet(rest) as kubelet:
        ...                                     # tools start after 50 ms and end with 0 after 100 ms more
        kubelet.life = an_own_coroutine         # or live as a test wants
        kubelet.most[namespace, pod]            # how many tools were alive in a pod at the same time
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Self

from tests.cluster.rest import Object, RefusedError, Rest, pods, tools_in

NODE = "toy"
Life = Callable[[Object, Object], Awaitable[int]]
"""What a tool does: given its pod and its container, waits for its end and returns the exit code."""


def a_pod(name: str, labels: Mapping[str, str], **spec: Any) -> Object:
    """Is a pod of this node, with one container named app that runs as 1001:1001."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": {
            "nodeName": NODE,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsUser": 1001, "runAsGroup": 1001},
            "containers": [{"name": "app", "image": "app:1"}],
            **spec,
        },
    }


async def a_short_life(pod: Object, container: Object) -> int:
    """Does something for 100 ms, successfully."""
    await asyncio.sleep(0.1)
    return 0


class ToyKubelet:
    """Plays the node for all pods that are bound to it, also those that a predecessor knew."""

    def __init__(self, rest: Rest, life: Life = a_short_life, *, start: float = 0.05) -> None:
        self._rest = rest
        self.life = life
        self.start = start
        self.most: Counter[tuple[str, str]] = Counter()
        self.order: list[tuple[str, str, str]] = []
        """Namespace, pod and name of each tool container in the order in which they were seen."""
        self.stopped = False
        """Whether it looks away: tools stay as they are, as on a node that is lost."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._known: set[str] = set()
        self._told: dict[str, dict[str, Object]] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._follower: asyncio.Task[None] | None = None
        self.failure: BaseException | None = None
        self._news = asyncio.Condition()

    async def saw(self, namespace: str, number: int, *, seconds: float = 120.0) -> None:
        """Waits until it has seen this many tool containers in a namespace."""
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(lambda: self.count(namespace) >= number)
        except TimeoutError:
            raise AssertionError(f"{self.count(namespace)} of {number} tools after {seconds} s") from None

    def count(self, namespace: str) -> int:
        """Is how many tool containers it has seen in a namespace."""
        return sum(where == namespace for where, _, _ in self.order)

    async def __aenter__(self) -> Self:
        self._follower = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._follower is not None
        for task in (self._follower, *self._tasks):
            task.cancel()
        await asyncio.gather(self._follower, *self._tasks, return_exceptions=True)
        if self.failure is not None:
            raise self.failure

    async def _follow(self) -> None:
        only = {"fieldSelector": f"spec.nodeName={NODE}"}
        while True:  # a server ends the watch of somebody who reads slowly
            found = await self._rest.get("/api/v1/pods", **only)
            for pod in found["items"]:
                await self._see(pod)
            version = found["metadata"]["resourceVersion"]
            async with aclosing(self._rest.watch("/api/v1/pods", version, **only)) as events:
                async for kind, pod in events:
                    if kind != "DELETED":
                        await self._see(pod)

    async def _see(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        if pod.get("status", {}).get("phase") != "Running" and uid not in self._known:
            self._known.add(uid)
            self._spawn(self._run_pod(pod))
        for status in _tool_statuses(pod):
            self._told.setdefault(uid, {}).setdefault(status["name"], status)
        ended = {s["name"] for s in _tool_statuses(pod) if "terminated" in s.get("state", {})}
        living = [container for container in tools_in(pod) if container["name"] not in ended]
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        self.most[key] = max(self.most[key], len(living))
        for container in living:
            if f"{uid}/{container['name']}" not in self._known:
                self._known.add(f"{uid}/{container['name']}")
                self.order.append((*key, container["name"]))
                async with self._news:
                    self._news.notify_all()
                if not self.stopped:
                    self._spawn(self._run_tool(pod, container))

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.failure = self.failure or task.exception()

    async def _run_pod(self, pod: Object) -> None:
        identity = {"linux": {"uid": 1001, "gid": 1001, "supplementalGroups": [1001]}}
        status = {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {
                    **_base(container["name"], container["image"], f"{pod['metadata']['uid']}-{container['name']}"),
                    "ready": True,
                    "started": True,
                    "user": identity,
                    "state": {"running": {"startedAt": _now()}},
                }
                for container in pod["spec"]["containers"]
            ],
        }
        await self._report(pod, status)

    async def _run_tool(self, pod: Object, container: Object) -> None:
        await asyncio.sleep(self.start)
        started = _now()
        await self._tell(pod, container, {"running": {"startedAt": started}})
        code = await self.life(pod, container)
        end = {
            "exitCode": code,
            "reason": "Error" if code else "Completed",
            "startedAt": started,
            "finishedAt": _now(),
            "containerID": f"toy://{container['name']}",
        }
        await self._tell(pod, container, {"terminated": end})

    async def _tell(self, pod: Object, container: Object, state: Object) -> None:
        """Writes one tool's state beside the others': the list is the kubelet's, and is replaced whole."""
        uid = pod["metadata"]["uid"]
        status = {**_base(container["name"], container["image"], container["name"]), "ready": False, "state": state}
        async with self._turns.setdefault(uid, asyncio.Lock()):
            told = self._told.setdefault(uid, {})
            told[container["name"]] = status
            await self._report(pod, {"ephemeralContainerStatuses": list(told.values())})

    async def _report(self, pod: Object, status: Object) -> None:
        meta = pod["metadata"]
        try:
            path = pods(meta["namespace"], meta["name"], "status")
            await self._rest.merge(path, {"metadata": {"uid": meta["uid"]}, "status": status})
        except RefusedError as refused:
            if refused.status not in (404, 409, 422):  # the pod is gone, or is another one by now
                raise


def _base(name: str, image: str, identifier: str) -> Object:
    return {"name": name, "image": image, "imageID": "", "containerID": f"toy://{identifier}", "restartCount": 0}


def _tool_statuses(pod: Object) -> list[Object]:
    return pod.get("status", {}).get("ephemeralContainerStatuses") or []


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: TID251 - a kubelet has a clock
