"""``logs``: what the tools of a run print, merged; the files that travel in the logs are left out."""

import asyncio
import contextlib
from collections.abc import Sequence

from toe.api.powertool import PowerTool, Target
from toe.cli import tool_logs
from toe.cli.call import Call
from toe.cli.cluster import Cluster, reach
from toe.cli.sentences import ComplaintError, explain, no_log
from toe.cli.watching import versions
from toe.errors import ClusterError, ForbiddenError, InvalidError, NotFoundError, UnavailableError
from toe.kube.resource import PODS
from toe.report.frames import FrameReader
from toe.report.run import sentence

PAUSE = 1.0
"""Seconds between two looks at a container that has not started."""
ENDED = frozenset({"Succeeded", "Failed", "Refused", "Gone"})


def logs(call: Call, name: str, *, follow: bool, pod: str | None, container: str | None) -> int:
    """Prints logs; exit status 3 when those of some pods are missing, 1 when all are."""
    return reach(call, lambda cluster: _logs(cluster, name, follow=follow, pod=pod, container=container))


async def _logs(cluster: Cluster, name: str, *, follow: bool, pod: str | None, container: str | None) -> int:
    run = await cluster.run(name)
    if follow and not run.status.targets and not run.status.is_finished:
        run = await _begun(cluster, name)
    targets = [
        target
        for target in run.status.targets
        if pod in (None, target.pod) and container in (None, target.container, target.tool_container)
    ]
    if not targets:
        raise _nothing(cluster, run, pod or container)
    pairs = zip(targets, prefixes(targets), strict=True)
    readers = [_Reader(cluster, run, target, prefix) for target, prefix in pairs]
    if follow:
        done = await asyncio.gather(*(reader.follow() for reader in readers))
    else:
        done = [await reader.print_all() for reader in readers]
    return 0 if all(done) else 3 if any(done) else 1


async def _begun(cluster: Cluster, name: str) -> PowerTool:
    """Waits until the targets are chosen or the run is over."""
    cluster.call.screen.say(f"{name} has not begun; waiting")
    async with contextlib.aclosing(versions(cluster.client, cluster.namespace, name)) as runs:
        async for run in runs:
            if run.status.targets or run.status.is_finished:
                return run
    raise AssertionError("versions never ends by itself")


def _nothing(cluster: Cluster, run: PowerTool, wanted: str | None) -> ComplaintError:
    if not run.status.targets:
        return ComplaintError(f"{run.metadata.name} has no logs: {sentence(run)}")
    have = ", ".join(f"{target.pod} ({target.container})" for target in run.status.targets)
    return ComplaintError(f"{run.metadata.name} has no target {wanted}", hints=[f"its targets: {have}"], status=2)


class _Reader:
    """Prints the log of one target."""

    def __init__(self, cluster: Cluster, run: PowerTool, target: Target, prefix: str) -> None:
        self._cluster, self._run, self._target, self._prefix = cluster, run, target, prefix
        self._screen = cluster.call.screen
        self._frames = FrameReader()
        self._last = ""
        self._seen: set[bytes] = set()

    async def print_all(self) -> bool:
        """Prints what is there; False, and why, when nothing can be had."""
        if why := self._why_not():
            return self._miss(why)
        try:
            log = await tool_logs.whole(self._cluster.client, self._run.metadata.namespace, self._target)
        except ClusterError as error:
            return self._refused(error)
        for line in log.split(b"\n")[:-1] if log.endswith(b"\n") else log.split(b"\n") if log else []:
            self._print(line)
        return True

    async def follow(self) -> bool:
        """Prints lines as they come until the tool ends; waits for one that has not started.

        A stream that ends is no proof: the way to the node may have been cut. So it is asked again, until the tool is
        known to have ended before the question and the answer holds nothing new.
        """
        if self._target.state == "Refused":
            return self._miss(self._why_not())
        over = self._target.state in ENDED
        while True:
            try:
                if not await self._stream() and over:
                    return True
            except UnavailableError:
                pass
            except (InvalidError, NotFoundError) as error:
                if over or await self._is_over():
                    return bool(self._last) or self._refused(error)
            except ClusterError as error:
                return self._refused(error)
            if not over:
                over = await self._is_over()
                await asyncio.sleep(0 if over else PAUSE)

    async def _stream(self) -> int:
        """Prints one stream from where the last one ended, without saying a line twice; counts the new lines.

        The kubelet counts ``sinceTime`` in whole seconds and writes times of one width, so text order is time order.
        """
        namespace, client = self._run.metadata.namespace, self._cluster.client
        since, seen, new = self._last, self._seen, 0
        source = tool_logs.followed(client, namespace, self._target, since)
        async with contextlib.aclosing(source) as lines:
            async for time, text in lines:
                if time < since or (time == since and text in seen):
                    continue
                if time != self._last:
                    self._last, self._seen = time, set()
                self._seen.add(text)
                new += 1
                self._print(text)
                self._screen.flush()
        return new

    async def _is_over(self) -> bool:
        """Tells whether nothing more can come: the kubelet says so, or the run or its target has ended."""
        target, meta = self._target, self._run.metadata
        try:
            if await self._has_ended_in_pod():
                return True
            run = await self._cluster.run(meta.name)
        except UnavailableError:
            return False
        except NotFoundError:
            return True
        own = [other for other in run.status.targets if other.pod_uid == target.pod_uid]
        return run.status.is_finished or all(other.state in ENDED for other in own)

    async def _has_ended_in_pod(self) -> bool:
        try:
            pod = await self._cluster.client.get(PODS, self._run.metadata.namespace, self._target.pod)
        except ForbiddenError:
            return False
        statuses = pod.status.ephemeral_container_statuses
        own = [status for status in statuses if status.name == self._target.tool_container]
        return pod.metadata.uid != self._target.pod_uid or any(s.state and s.state.terminated for s in own)

    def _print(self, line: bytes) -> None:
        shown = self._frames.feed(line)
        if shown is not None:
            self._screen.bytes(self._prefix.encode() + shown + b"\n")

    def _why_not(self) -> str:
        match self._target.state:
            case "Prepared" | "Injected":
                return "its tool has not started yet (-f waits for it)"
            case "Refused":
                return f"no tool ran: {self._target.message or self._target.reason}"
            case _:
                return "" if self._target.tool_container else "no tool ran"

    def _refused(self, error: ClusterError) -> bool:
        if isinstance(error, ForbiddenError):
            raise explain(error) from error
        return self._miss(no_log(error, self._target.pod))

    def _miss(self, why: str) -> bool:
        self._screen.error(f"{self._target.pod}: {why}")
        return False


def prefixes(targets: Sequence[Target]) -> list[str]:
    """Returns what stands before the lines of each target; nothing where there is only one."""
    width = max(len(target.pod) for target in targets)
    return ["" if len(targets) == 1 else f"{target.pod:<{width}} | " for target in targets]
