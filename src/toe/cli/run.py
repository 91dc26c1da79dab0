"""``run``: creates a PowerTool, follows it to its end, and says where the result is."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncGenerator
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import yaml

from toe.api.powertool import PowerTool
from toe.api.time import parse_duration
from toe.cli.call import Call
from toe.cli.cluster import Cluster, reach
from toe.cli.following import Board, board_for
from toe.cli.request import Wish, as_manifest, as_run, in_mode, judge
from toe.cli.sentences import ComplaintError, explain
from toe.cli.snapshot import will_be_forbidden
from toe.cli.watching import versions
from toe.errors import ClusterError, ConflictError, NotFoundError
from toe.kube.resource import POWERTOOLS
from toe.report.run import Outcome, files, outcome, sentence, still_running, until
from toe.report.text import count

STATUS: dict[Outcome, int] = {"succeeded": 0, "failed": 1, "open": 1, "refused": 2, "partly": 3, "canceled": 130}
SILENCE = timedelta(seconds=10)
"""After so long without a status a person is told that no controller has looked at the run."""


def run(call: Call, wish: Wish, *, wait: bool, pending: bool, timeout: str | None, output: str) -> int:
    """Does all of it; exit status 0 when every target succeeded."""
    raw = as_manifest(wish)
    limit = parse_duration(timeout) if timeout else None
    if timeout and not limit:
        raise ComplaintError(f"--timeout {timeout} is no duration such as 30s or 5m", status=2)
    return reach(call, lambda cluster: _run(cluster, raw, wait=wait, pending=pending, limit=limit, output=output))


async def _run(
    cluster: Cluster, raw: dict[str, Any], *, wait: bool, pending: bool, limit: timedelta | None, output: str
) -> int:
    screen = cluster.call.screen
    states_mode = "output" in raw["spec"]
    observed = await judge(cluster, as_run(raw, cluster.namespace), pending=pending, choose_mode=not states_mode)
    if observed and not states_mode:
        raw = in_mode(raw, observed.snapshot.request.run.spec.output.mode)
    if observed and (why := will_be_forbidden(observed)):
        screen.warn(f"{why}: the API server will forbid it")
    with Interrupts() as interrupts:
        created = await _create(cluster, raw)
        name = created.metadata.name
        if not wait:
            if output == "table":
                screen.out(name)
            else:
                await show(cluster, name, output)
            return 0
        pods = f": {count(len(observed.snapshot.matching), 'pod')}" if observed else ""
        tell = screen.out if output == "table" else screen.say
        tell(f"powertool/{name} created in {cluster.namespace}{pods}")
        screen.flush()
        board = board_for(screen, to_stderr=output != "table")
        status = await Follower(cluster, created, board, limit, interrupts).follow()
    if output != "table":
        await show(cluster, name, output)
    return status


async def _create(cluster: Cluster, raw: dict[str, Any]) -> PowerTool:
    try:
        return await cluster.client.create(POWERTOOLS, cluster.namespace, raw, field_manager="kubectl-toe")
    except ConflictError as error:
        name = raw["metadata"].get("name", "")
        raise ComplaintError(
            f"there is a run {name} already in {cluster.namespace}",
            hints=["choose another --name, or leave it out: then the cluster finds one"],
            status=2,
        ) from error


async def show(cluster: Cluster, name: str, output: str) -> None:
    """Prints a run whole."""
    whole = await cluster.raw_run(name)
    text = json.dumps(whole, indent=2) if output == "json" else yaml.safe_dump(whole, sort_keys=False)
    cluster.call.screen.document(text)


class Interrupts:
    """Counts Ctrl-C in place of dying of it, so that nothing is created and then forgotten."""

    def __init__(self) -> None:
        self.count = 0
        self.wake = asyncio.Event()

    def __enter__(self) -> Self:
        """Begins to count."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives Ctrl-C its usual meaning back."""
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)

    def _interrupt(self) -> None:
        self.count += 1
        self.wake.set()


class Follower:
    """Follows a run: Ctrl-C cancels it and waits for its end, a second one leaves at once."""

    def __init__(
        self, cluster: Cluster, run: PowerTool, board: Board, limit: timedelta | None, interrupts: Interrupts
    ) -> None:
        self._cluster, self._run, self._board = cluster, run, board
        self._screen = cluster.call.screen
        self._now = cluster.call.now
        self._began = self._now()
        self._limit = limit
        self._interrupts = interrupts
        self._wake = interrupts.wake
        self._told_silence = False

    async def follow(self) -> int:
        """Returns the exit status once the run is finished, was left, or ``--timeout`` has passed."""
        with self._board:
            watch = asyncio.create_task(self._watch())
            try:
                status = await self._until_end(watch)
            finally:
                watch.cancel()
                await asyncio.gather(watch, return_exceptions=True)
        return self._conclude(status)

    async def _watch(self) -> None:
        source: AsyncGenerator[PowerTool, None] = versions(
            self._cluster.client, self._run.metadata.namespace, self._run.metadata.name
        )
        async with contextlib.aclosing(source) as runs:
            async for run in runs:
                if run.metadata.uid != self._run.metadata.uid:
                    raise NotFoundError(f'powertools "{run.metadata.name}" not found', status=404)
                self._run = run
                self._wake.set()
                if run.status.is_finished:
                    return

    async def _until_end(self, watch: asyncio.Task[None]) -> int | None:
        """Waits; an exit status means that it left before the end."""
        canceled = False
        while True:
            self._wake.clear()
            self._board.show(self._run, self._now())
            if self._run.status.is_finished:
                return None
            if self._interrupts.count > 1:
                return 130
            if self._interrupts.count and not canceled:
                canceled = True
                await self._cancel()
            if self._limit is not None and self._now() - self._began >= self._limit:
                return 1
            self._tell_silence()
            wake = asyncio.create_task(self._wake.wait())
            await asyncio.wait({wake, watch}, timeout=self._board.pace, return_when=asyncio.FIRST_COMPLETED)
            wake.cancel()
            if watch.done() and (error := watch.exception()):
                raise self._lost(error)

    def _lost(self, error: BaseException) -> BaseException:
        if isinstance(error, NotFoundError):
            name = self._run.metadata.name
            return ComplaintError(
                f"the run {name} was deleted", hints=["a tool that runs already ends at its not-after time"]
            )
        return error

    def _tell_silence(self) -> None:
        looked_at = self._run.status.conditions or self._run.status.is_frozen
        if self._told_silence or looked_at or self._now() - self._began < SILENCE:
            return
        self._told_silence = True
        namespace = self._cluster.settings.system_namespace
        self._board.say(f"no controller has looked at it for 10 s: does toe run? (kubectl get pods -n {namespace})")

    async def _cancel(self) -> None:
        name = self._run.metadata.name
        self._board.say(f"canceling {name}; another Ctrl-C leaves at once")
        try:
            await self._cluster.client.patch(
                POWERTOOLS, self._run.metadata.namespace, name, {"spec": {"cancel": True}}, kind="merge"
            )
        except ClusterError as error:
            complaint = explain(error)
            self._board.say(f"it could not be canceled: {complaint}")
            return
        if running := running_on(self._run):
            self._board.say(running)

    def _conclude(self, status: int | None) -> int:
        """Tells the result and returns the exit status."""
        run, screen = self._run, self._screen
        if status is not None:
            _tell_left(self._cluster.call, run, timed_out=self._interrupts.count < 2)
            return status
        self._board.result(sentence(run, causes=False))
        if found := files(run):
            get = f"{self._cluster.call.program} get {run.metadata.name}{_where(self._cluster)}"
            screen.hint(f"{get}    {found}, {_kept(run)}")
        return 130 if self._interrupts.count else STATUS[outcome(run)]


def _kept(run: PowerTool) -> str:
    """Says where files are, and for how long."""
    match run.spec.output.mode:
        case "collector":
            days = run.spec.output.retention_days
            return f"kept for {count(days, 'day')}" if days else "kept by the collector"
        case "pvc":
            return f"on the claim {run.spec.output.pvc.claim_name if run.spec.output.pvc else ''}"
        case _:
            return "kept in the pods' logs while the pods live"


def running_on(run: PowerTool) -> str:
    """Says which tools go on running, and until when; empty when none does."""
    left = still_running(run)
    if not left:
        return ""
    names = ", ".join(target.pod for target in left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
    if run.status.collector:
        return f"tools that run are told to end, which takes seconds, {until(run)}: {names}"
    return f"a running tool cannot be stopped from outside: it ends at its duration, {until(run)}: {names}"


def _tell_left(call: Call, run: PowerTool, *, timed_out: bool) -> None:
    name = run.metadata.name
    call.screen.error(f"{name} is not finished{' within the --timeout' if timed_out else ''}: {sentence(run)}")
    if running := running_on(run):
        call.screen.hint(running)
    call.screen.hint(f"kubectl get powertool {name} -n {run.metadata.namespace} shows it")
    if timed_out:
        call.screen.hint(f"{call.program} cancel {name} -n {run.metadata.namespace} stops what has not begun")


def _where(cluster: Cluster) -> str:
    """Is the flag that finds the namespace again, where it was given."""
    return f" -n {cluster.call.flags.namespace}" if cluster.call.flags.namespace else ""
