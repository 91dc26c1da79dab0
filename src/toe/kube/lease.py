"""Which of several processes works: the one that holds a Lease, and only while it can prove that to itself.

As client-go's leader election: whoever finds the Lease unchanged for its whole duration, by his own clock, takes it. No
time of another process is ever compared with ours, so clocks may differ. Two rules beside: the holder stops when it
could not renew for two thirds of the duration; and each write asks :meth:`Election.holds` first, so that a process
which was frozen, and does not know it, writes nothing when it wakes. Who has stopped never begins again: it ends.

Source: https://kubernetes.io/docs/concepts/architecture/leases/
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn

import msgspec
import structlog

from toe.errors import ClusterError, ConflictError, NotFoundError
from toe.kube.client import Client
from toe.kube.resource import LEASES, Lease, LeaseSpec

DURATION = 15.0
"""Seconds that a Lease lasts unrenewed."""
DEADLINE = 2 / 3
"""Of the duration: how long its holder may work from when the last renewal that came through was sent."""
PERIOD = 2 / 15
"""Of the duration: between two renewals."""
LOOK = 1 / 15
"""Of the duration: between two looks of those who stand by."""

_log = structlog.get_logger(__name__)


class LostError(Exception):
    """Somebody else works now, or may."""


def uptime() -> float:
    """Returns seconds that go on while a machine sleeps, and that nobody can set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Election:
    """Takes part in the election for one Lease."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        clock: Callable[[], datetime],
        *,
        duration: float = DURATION,
        now: Callable[[], float] = uptime,
    ) -> None:
        """``client`` must not be one that asks :meth:`holds`; ``identity`` is ours alone, also after a restart.

        ``duration`` is whole seconds.
        """
        self._client, self._namespace, self._name, self._identity = client, namespace, name, identity
        self._clock, self._duration, self._now = clock, duration, now
        self._seen: Lease | None = None
        self._seen_at = 0.0  # since when it has said just that, or has been gone
        self._is_gone = False
        self._is_doubtful = True  # a write of ours may have come through, or somebody else's
        self._until = 0.0
        self.won = asyncio.Event()
        """Is set when this process begins to work."""

    def holds(self) -> bool:
        """Tells whether this process may write now: its last renewal is young enough."""
        return self._now() < self._until

    async def run(self) -> NoReturn:
        """Stands by until the Lease is won, then renews it; raises LostError when it is not held any more."""
        while not await self._tried(DEADLINE / 2 * self._duration):  # noqa: ASYNC110 it is others who give a Lease up
            await asyncio.sleep(LOOK * self._duration)
        self.won.set()
        _log.info("this process leads", lease=self._name, identity=self._identity)
        while self.holds():
            pause = (LOOK if self._is_doubtful else PERIOD) * self._duration
            await asyncio.sleep(min(pause, self._until - self._now()))
            if self.holds():
                await self._tried(min(DEADLINE / 2 * self._duration, self._until - self._now()))
        holder = self._seen.spec.holder_identity if self._seen is not None else None
        if holder != self._identity:
            raise LostError(f"the Lease {self._name} is held by {holder!r}")
        raise LostError(f"the Lease {self._name} could not be renewed in {DEADLINE * self._duration:.0f} s")

    async def release(self) -> None:
        """Gives the Lease up, so that the next one need not wait; to be called when all work has ended."""
        held, self._until = self.holds(), 0.0
        if not held:
            return
        try:
            async with asyncio.timeout(PERIOD * self._duration):
                if self._is_doubtful:
                    await self._look()
                if self._seen is not None and self._seen.spec.holder_identity == self._identity:
                    await self._write(self._seen, LeaseSpec(holder_identity=""))
        except (ClusterError, TimeoutError) as error:
            _log.warning("the Lease was not released", error=str(error))

    async def _tried(self, seconds: float) -> bool:
        """Acquires or renews once; returns whether this process may write now. What fails is told."""
        try:
            async with asyncio.timeout(seconds):
                await self._attempt()
        except ConflictError:
            pass  # somebody was faster
        except (ClusterError, TimeoutError) as error:
            _log.warning("the Lease was not reached", lease=self._name, error=str(error) or "no answer in time")
        return self.holds()

    async def _attempt(self) -> None:
        if self._is_doubtful or not self.holds():
            await self._look()
        before = self._seen
        is_ours = before is not None and before.spec.holder_identity == self._identity
        if before is not None and not is_ours and (self.won.is_set() or not self._is_free(before)):
            return
        sent, self._is_doubtful = self._now(), True
        spec = self._renewed(before.spec) if before is not None and is_ours else self._acquired(before)
        if before is None or self._is_gone:
            lease = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": {"name": self._name}}
            stored = await self._client.create(LEASES, self._namespace, {**lease, "spec": spec})
        else:
            stored = await self._write(before, spec)
        self._observe(stored)
        self._until = sent + DEADLINE * self._duration

    async def _look(self) -> None:
        """Reads the Lease. One that somebody removed counts for its duration more: its holder may not know yet."""
        try:
            self._observe(await self._client.get(LEASES, self._namespace, self._name))
        except NotFoundError:
            if not self._is_gone:
                self._is_gone, self._seen_at = True, self._now()
            self._is_doubtful = False

    def _observe(self, lease: Lease) -> None:
        """Notes what the Lease says, and since when it has said just that."""
        before = self._seen
        if before is None or before.metadata.resource_version != lease.metadata.resource_version:
            self._seen_at = self._now()
        self._seen, self._is_gone, self._is_doubtful = lease, False, False
        if lease.spec.holder_identity != self._identity:
            self._until = 0.0

    def _is_free(self, lease: Lease) -> bool:
        spec = lease.spec
        is_given_up = not spec.holder_identity and not self._is_gone
        return is_given_up or self._now() >= self._seen_at + (spec.lease_duration_seconds or self._duration)

    def _acquired(self, before: Lease | None) -> LeaseSpec:
        now = self._wall_time()
        return LeaseSpec(
            holder_identity=self._identity,
            lease_duration_seconds=int(self._duration),
            acquire_time=now,
            renew_time=now,
            lease_transitions=(before.spec.lease_transitions or 0) + 1 if before is not None else 0,
        )

    def _renewed(self, before: LeaseSpec) -> LeaseSpec:
        return msgspec.structs.replace(before, renew_time=self._wall_time())

    def _wall_time(self) -> str:
        """Returns what people read; nobody decides by it."""
        return self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    async def _write(self, seen: Lease, spec: LeaseSpec) -> Lease:
        """Writes over just what was seen: whoever was faster makes it fail."""
        version = {"uid": seen.metadata.uid, "resourceVersion": seen.metadata.resource_version}
        body = {"metadata": version, "spec": spec}
        return await self._client.patch(LEASES, self._namespace, self._name, body, kind="merge")
