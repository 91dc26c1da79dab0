"""Which of several processes works: the one that holds a Lease, and only while it can prove that to itself.

As client-go's leader election: whoever finds the Lease unchanged for its whole duration, by his own clock, takes it. No
time of another process is ever compared with ours, so clocks may differ. Two rules beside: the holder stops when it
could not renew for :data:`DEADLINE` seconds, which is before the Lease runs out; and each write asks
:meth:`Election.holds` first, so that a process which was frozen, and does not know it, writes nothing when it wakes.

Source: https://kubernetes.io/docs/concepts/architecture/leases/
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn

import structlog

from toe.errors import ClusterError, ConflictError, NotFoundError
from toe.kube.client import Client
from toe.kube.resource import LEASES, Lease, LeaseSpec

DURATION = 15.0
"""Seconds that a Lease lasts unrenewed."""
DEADLINE = 10.0
"""Seconds after the last renewal was sent in which its holder may work."""
PERIOD = 2.0
"""Seconds between two renewals."""
LOOK = 1.0
"""Seconds between two looks of those who stand by."""

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
        now: Callable[[], float] = uptime,
    ) -> None:
        """``client`` must not be one that asks :meth:`holds`; ``identity`` is ours alone, also after a restart."""
        self._client, self._namespace, self._name, self._identity = client, namespace, name, identity
        self._clock, self._now = clock, now
        self._seen: Lease | None = None
        self._seen_at = 0.0
        self._until = 0.0
        self.won = asyncio.Event()
        """Is set when this process begins to work."""

    def holds(self) -> bool:
        """Tells whether this process may write now: its last renewal is young enough."""
        return self._now() < self._until

    async def run(self) -> NoReturn:
        """Stands by until the Lease is won, then renews it; raises LostError when it is not held any more."""
        while not await self._tried():  # noqa: ASYNC110 another process's Lease sets no event of ours
            await asyncio.sleep(LOOK)
        self.won.set()
        _log.info("this process leads", lease=self._name, identity=self._identity)
        while True:
            await asyncio.sleep(PERIOD)
            held = await self._tried()
            if not self.holds():
                raise LostError(f"the Lease {self._name} could not be renewed in {DEADLINE:.0f} s")
            if not held and self._seen is not None and self._seen.spec.holder_identity != self._identity:
                raise LostError(f"the Lease {self._name} is held by {self._seen.spec.holder_identity!r}")

    async def release(self) -> None:
        """Gives the Lease up, so that the next one need not wait; to be called when all work has ended."""
        held, self._until = self.holds(), 0.0
        if not held or self._seen is None:
            return
        try:
            async with asyncio.timeout(PERIOD):
                await self._write(self._seen, LeaseSpec(holder_identity="", lease_transitions=self._transitions(0)))
        except (ClusterError, TimeoutError) as error:
            _log.warning("the Lease was not released", error=str(error))

    async def _tried(self) -> bool:
        """Acquires or renews once; returns whether this process holds the Lease now. What fails is told, once."""
        try:
            async with asyncio.timeout(DEADLINE / 2):
                return await self._attempt()
        except (ClusterError, TimeoutError) as error:
            if not isinstance(error, ConflictError):
                _log.warning("the Lease was not reached", lease=self._name, error=str(error) or "no answer in time")
            self._forget()
            return False

    async def _attempt(self) -> bool:
        if self._seen is None or self._seen.spec.holder_identity != self._identity or not self.holds():
            await self._look()
        sent = self._now()
        if self._seen is None:
            kind = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": {"name": self._name}}
            stored = await self._client.create(LEASES, self._namespace, {**kind, "spec": self._spec(0)})
        elif self._seen.spec.holder_identity == self._identity:
            stored = await self._write(self._seen, self._spec(self._transitions(0), acquired=False))
        elif self._is_free(self._seen):
            stored = await self._write(self._seen, self._spec(self._transitions(1)))
        else:
            return False
        self._until = sent + DEADLINE
        self._observe(stored)
        return True

    async def _look(self) -> None:
        try:
            self._observe(await self._client.get(LEASES, self._namespace, self._name))
        except NotFoundError:
            self._seen = None

    def _observe(self, lease: Lease) -> None:
        """Notes what the Lease says, and since when it has said just that."""
        before = self._seen
        if before is None or before.metadata.resource_version != lease.metadata.resource_version:
            self._seen_at = self._now()
        self._seen = lease

    def _forget(self) -> None:
        """Has the Lease read again before the next write: somebody else may have written it. The clock goes on."""
        if self._seen is not None and self._seen.spec.holder_identity == self._identity:
            self._seen, self._seen_at = None, self._now()

    def _is_free(self, lease: Lease) -> bool:
        spec = lease.spec
        return not spec.holder_identity or self._now() >= self._seen_at + (spec.lease_duration_seconds or DURATION)

    def _transitions(self, more: int) -> int:
        return (self._seen.spec.lease_transitions or 0) + more if self._seen is not None else 0

    def _spec(self, transitions: int, *, acquired: bool = True) -> LeaseSpec:
        now = self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = self._seen.spec.acquire_time if self._seen is not None and not acquired else None
        return LeaseSpec(
            holder_identity=self._identity,
            lease_duration_seconds=int(DURATION),
            acquire_time=before or now,
            renew_time=now,
            lease_transitions=transitions,
        )

    async def _write(self, seen: Lease, spec: LeaseSpec) -> Lease:
        """Writes over just what was seen: whoever was faster makes it fail."""
        version = {"uid": seen.metadata.uid, "resourceVersion": seen.metadata.resource_version}
        body = {"metadata": version, "spec": spec}
        return await self._client.patch(LEASES, self._namespace, self._name, body, kind="merge")
