"""What happened, where ``kubectl describe`` shows it: core/v1 Events, few and never in anybody's way."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

import msgspec
import structlog

from toe.api.meta import ObjectReference
from toe.api.time import format_time
from toe.errors import ClusterError, NotFoundError, ToeError
from toe.kube.client import Client
from toe.kube.resource import EVENTS

COMPONENT = "toe"
LONGEST_MESSAGE = 1024
WAITING = 1000
REMEMBERED = 4096
BURST = 25
REFILL = 300.0
CLUSTER_NAMESPACE = "default"

_Same = tuple[ObjectReference, str, str, str]
_log = structlog.get_logger(__name__)


class _Series(msgspec.Struct):
    """Is one event as it was written so far."""

    name: str
    namespace: str
    count: int
    first: str
    related: ObjectReference | None
    unwritten: int = 0
    last: str = ""
    written: bool = False


class _Bucket(msgspec.Struct):
    """Is how many events an object may still have, as of ``at``."""

    tokens: float
    at: float


class EventRecorder:
    """Writes Events in the background; losing one never hurts anybody.

    The same event of the same object raises the first one's ``count``. An object gets 25 at once and one more each
    300 s, as client-go grants; up to 1,000 wait to be written, and what is more is dropped and counted in ``dropped``.
    With nothing to write it sends nothing.
    """

    def __init__(
        self,
        client: Client,
        *,
        component: str = COMPONENT,
        instance: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._component, self._instance, self._clock = client, component, instance, clock
        self._series: OrderedDict[_Same, _Series] = OrderedDict()
        self._waiting: OrderedDict[_Same, _Series] = OrderedDict()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._more = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.dropped = 0
        self.written = 0

    def record(
        self,
        regarding: ObjectReference,
        *,
        type: Literal["Normal", "Warning"],  # noqa: A002 - the field is called so
        reason: str,
        message: str,
        now: datetime,
        related: ObjectReference | None = None,
    ) -> None:
        """Notes an event about ``regarding`` and returns at once. A message is cut after 1,024 bytes."""
        message = _cut(message)
        anchor = msgspec.structs.replace(regarding, resource_version="")
        same = (anchor, type, reason, message)
        if not self._allowed(anchor.uid or f"{anchor.kind}/{anchor.namespace}/{anchor.name}"):
            self.dropped += 1
            return
        if same not in self._waiting and len(self._waiting) >= WAITING:
            self.dropped += 1
            return
        stamp = format_time(now)
        series = self._series.get(same)
        if series is None:
            name = _name(regarding.name, now, same)
            series = _Series(name, regarding.namespace or CLUSTER_NAMESPACE, 0, stamp, related)
            self._series[same] = series
            if len(self._series) > REMEMBERED:
                self._series.popitem(last=False)
        self._series.move_to_end(same)
        series.unwritten += 1
        series.last = stamp
        self._waiting[same] = series
        self._idle.clear()
        self._more.set()

    async def run(self) -> None:
        """Writes what was recorded, one after the other, for ever."""
        while True:
            await self._more.wait()
            await self._drain()

    async def flush(self, timeout: float = 5.0) -> None:
        """Waits until :meth:`run` has written all; gives up after ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        except TimeoutError:
            _log.warning("events were not written in time", waiting=len(self._waiting))

    async def _drain(self) -> None:
        while self._waiting:
            same, series = self._waiting.popitem(last=False)
            try:
                await self._write(same, series)
                self.written += 1
            except ToeError as error:
                self.dropped += 1
                if not _expected(error):
                    _log.warning("event was not written", reason=same[2], error=str(error))
        self._more.clear()
        self._idle.set()

    async def _write(self, same: _Same, series: _Series) -> None:
        """Creates the event, or raises the count of the one that is there; one that has expired is created anew."""
        series.count, series.unwritten = series.count + series.unwritten, 0
        if series.written:
            change = {"count": series.count, "lastTimestamp": series.last}
            try:
                await self._client.patch(EVENTS, series.namespace, series.name, change, kind="merge")
                return
            except NotFoundError:
                series.count, series.first = 1, series.last
        try:
            await self._client.create(EVENTS, series.namespace, self._event(same, series))
        except ClusterError:
            self._series.pop(same, None)
            raise
        series.written = True

    def _event(self, same: _Same, series: _Series) -> dict[str, Any]:
        regarding, kind, reason, message = same
        event: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": series.name, "namespace": series.namespace},
            "involvedObject": regarding,
            "type": kind,
            "reason": reason,
            "message": message,
            "count": series.count,
            "firstTimestamp": series.first,
            "lastTimestamp": series.last,
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
            "source": {"component": self._component},
        }
        if series.related is not None:
            event["related"] = series.related
        return event

    def _allowed(self, key: str) -> bool:
        now = self._clock()
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(BURST, now)
            if len(self._buckets) > REMEMBERED:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        bucket.tokens = min(float(BURST), bucket.tokens + (now - bucket.at) / REFILL)
        bucket.at = now
        if bucket.tokens < 1.0:
            return False
        bucket.tokens -= 1.0
        return True


def _expected(error: ToeError) -> bool:
    """Tells whether a refusal is part of life: the namespace is going away, or somebody took the name."""
    return isinstance(error, ClusterError) and (error.status == 409 or "being terminated" in error.message)


def _cut(message: str) -> str:
    """Cuts a message to 1,024 bytes without tearing a character apart.

    Source: k8s.io/kubernetes/pkg/apis/core/validation/events.go (NoteLengthLimit).
    """
    encoded = message.encode(errors="replace")
    if len(encoded) <= LONGEST_MESSAGE:
        return message
    return encoded[: LONGEST_MESSAGE - 3].decode(errors="ignore") + "…"


def _name(name: str, now: datetime, same: _Same) -> str:
    """Is a name that no other event has: the object's, then a digest of what and when."""
    digest = hashlib.sha256(msgspec.json.encode((now, same))).hexdigest()[:16]
    return f"{name[:200].rstrip('.-')}.{digest}"
