"""A collection that follows the server: listed once, then watched for ever, and never silently behind."""

import asyncio
import builtins
import contextlib
import random
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

import msgspec
import structlog

from toe.api.meta import LabelSelector
from toe.errors import (
    ClusterError,
    DecodeError,
    ExpiredError,
    InvalidError,
    NotFoundError,
    ToeError,
    UnavailableError,
)
from toe.kube.client import Client
from toe.kube.mirror import Key, Mirror
from toe.kube.resource import Named, Resource
from toe.kube.sharing import Sharing
from toe.kube.status import refusal
from toe.kube.transport import AMBIGUOUS, NEVER_SENT
from toe.kube.wire import UNREADABLE, identify, not_understood

T = TypeVar("T", bound=Named)

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
SILENT, SHORT, GARBLED = "Silent", "Short", "Garbled"


class Pace(msgspec.Struct, frozen=True):
    """Is how patient a cache is, in seconds; the defaults find a dead connection within 60 s.

    The server ends each watch by itself after ``watch`` (less up to a fifth, at random, so that many watches do not end
    together), and sends a bookmark two seconds before. A watch that is still open ``grace`` later is dead, however
    alive its connection looks. ``initial`` is how long the first objects of a WatchList, and each next one, may take.
    ``first_retry`` doubles up to ``longest_retry`` while the server does not answer.
    """

    watch: float = 50.0
    grace: float = 5.0
    initial: float = 10.0
    first_retry: float = 0.1
    longest_retry: float = 15.0


PACE = Pace()


class _Event(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw


_EVENTS = msgspec.json.Decoder(_Event)
_log = structlog.get_logger(__name__)


class Cache(Generic[T]):
    """Holds a collection as the server has it, in projections, and tells ``on_change(old, new)`` of each change.

    Run :meth:`run` as a task and wait for :meth:`synced` before believing anything that is not there.
    ``on_change`` must not block; an exception in it ends :meth:`run`. ``on_error`` is told what went wrong and is being
    tried again (ClusterError, SettingsError), and which object could not be understood (DecodeError): such an object
    counts as absent.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource[T],
        *,
        on_change: Callable[[T | None, T | None], None],
        namespace: str | None = None,
        label_selector: str = "",
        indexes: Mapping[str, Callable[[T], Iterable[Hashable]]] | None = None,
        on_error: Callable[[ToeError], None] | None = None,
        pace: Pace = PACE,
        watch_list: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._resource, self._namespace = client, resource, namespace
        self._label_selector = label_selector
        self._mirror: Mirror[T] = Mirror(on_change, indexes, partial=bool(label_selector))
        self._on_error = on_error or self._tell
        self._pace, self._clock = pace, clock
        self._decoder = msgspec.json.Decoder(resource.type)
        self._sharing = Sharing(resource.type)
        self._watch_list = watch_list
        self._listed = False  # the mirror can go on from its position
        self._doubtful = False  # the server was away: its history may have been set back
        self._synced = asyncio.Event()
        self._heard = float("-inf")
        self._failures = 0  # tries in a row that failed, for the back-off
        self._fruitless = 0  # watches in a row that brought nothing, though the server was there
        self.relists = 0

    def __repr__(self) -> str:
        """Says what it is a cache of."""
        return f"Cache({self._resource.plural})"

    def get(self, namespace: str, name: str) -> T | None:
        """Returns one object, None if it is not there. The namespace of a cluster-wide object is empty."""
        return self._mirror.get(namespace, name)

    def list(self, namespace: str | None = None) -> list[T]:
        """Returns all objects, or those of one namespace, in no particular order."""
        return self._mirror.list(namespace)

    def by_index(self, name: str, key: Hashable) -> builtins.list[T]:
        """Returns the objects for which the index ``name`` gave ``key``."""
        return self._mirror.by_index(name, key)

    def select(self, namespace: str, selector: LabelSelector) -> builtins.list[T]:
        """Returns the objects of ``namespace`` that ``selector`` matches; an empty selector matches all."""
        return self._mirror.select(namespace, selector)

    def observe(self, obj: T) -> None:
        """Takes in what a write returned, so that the writer reads it at once; see :meth:`Mirror.observe`."""
        if self._namespace is None or obj.metadata.namespace == self._namespace:
            self._mirror.observe(obj)

    def __len__(self) -> int:
        """Is how many objects there are."""
        return len(self._mirror)

    async def synced(self) -> None:
        """Waits until everything that was on the server at the start is here."""
        await self._synced.wait()

    @property
    def is_synced(self) -> bool:
        """Tells whether :meth:`synced` would return at once."""
        return self._synced.is_set()

    @property
    def age(self) -> float:
        """Is how many seconds ago the server was last heard; infinite before the first time."""
        return self._clock() - self._heard

    @property
    def live(self) -> bool:
        """Tells whether the cache follows: synced, and the server was heard within the last watch's time."""
        return self._synced.is_set() and self.age <= self._pace.watch + self._pace.grace

    async def run(self) -> None:
        """Follows the server for ever."""
        while True:
            try:
                if not self._listed:
                    await self._relist()
                    continue
                if self._doubtful:
                    await self._check_history()
                await self._follow()
            except ExpiredError:
                self._listed = False
                await self._pause(None)
            except ToeError as error:
                self._on_error(error)
                self._doubt(error)
                await self._pause(error)

    async def _relist(self) -> None:
        """Makes the mirror equal to the server, over WatchList where there is one and by pages elsewhere.

        Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists
        """
        self.relists += 1
        if self._watch_list and self._fruitless < 3:
            try:
                if await self._follow(initial=True):
                    return
            except InvalidError:
                self._watch_list = False  # the server does not know sendInitialEvents, or not for this kind
        await self.refresh()

    async def refresh(self) -> None:
        """Reads everything by pages: what was on the server when this was called is here when it returns.

        A watch tells the truth, but late: up to the time in which a dead one is found. Whoever begins to decide from
        what others wrote asks for this first.
        """
        asked_at = self._mirror.position
        raws, version = await self._client.list_raw(
            self._resource, self._namespace, label_selector=self._label_selector
        )
        objects = [obj for raw in raws if (obj := self._understand(raw)) is not None]
        self._replace(objects, int(version), asked_at)

    def _replace(self, objects: Iterable[T], version: int, asked_at: int) -> None:
        self._mirror.replace(objects, version, asked_at=asked_at)
        self._heard = self._clock()
        self._listed, self._doubtful = True, False
        self._synced.set()

    async def _check_history(self) -> None:
        """Asks a server that was away for its version: one behind ours tells a story that has been rewritten since.

        A watch from a version of the future would wait for it in silence (etcd restored from a backup).
        """
        version = await self._client.version(self._resource, self._namespace)
        self._heard = self._clock()
        if int(version) < self._mirror.position:
            raise ExpiredError("the history of the server was set back", status=410, reason="Expired")
        self._doubtful = False

    async def _follow(self, *, initial: bool = False) -> bool:
        """Follows one watch until the server ends it; False when an ``initial`` one never got to its bookmark.

        Raises ExpiredError when the position is too old, UnavailableError when the connection is cut or silent.
        """
        pace = self._pace
        seconds = pace.watch * random.uniform(0.8, 1.0)  # noqa: S311 - spreads load, guards nothing
        loop = asyncio.get_running_loop()
        start = loop.time()
        end = start + seconds + pace.grace
        snapshot: dict[Key, T] | None = {} if initial else None
        asked_at, events = self._mirror.position, 0
        path = self._resource.path(self._namespace)
        try:
            async with (
                asyncio.timeout_at(start + pace.initial if initial else end) as limit,
                contextlib.aclosing(
                    self._client.stream(path, self._params(seconds, initial), label=self._resource.plural)
                ) as lines,
            ):
                async for line in lines:
                    self._heard = self._clock()
                    event = self._event(line)
                    if snapshot is None:
                        events += 1
                        self._failures = self._fruitless = 0
                        self._apply(event)
                    elif event.type != "BOOKMARK":
                        limit.reschedule(min(loop.time() + pace.initial, end))
                        self._collect(snapshot, event)
                    else:
                        version, is_end = _bookmark(event)
                        if not is_end:
                            continue
                        self._replace(snapshot.values(), version, asked_at)
                        snapshot = None
                        limit.reschedule(end)
        except TimeoutError as error:
            if snapshot is not None:
                return False
            raise UnavailableError("the watch went silent", reason=SILENT) from error
        if snapshot is not None:
            return False
        self._heard = self._clock()
        if events == 0 and not initial and loop.time() - start < min(1.0, seconds / 2):
            raise UnavailableError("the watch ended at once", reason=SHORT)
        self._failures = self._fruitless = 0
        return True

    def _params(self, seconds: float, initial: bool) -> dict[str, str | int | bool]:
        params: dict[str, str | int | bool] = {
            "watch": True,
            "allowWatchBookmarks": True,
            "timeoutSeconds": max(1, round(seconds)),
        }
        if self._label_selector:
            params["labelSelector"] = self._label_selector
        if initial:
            params |= {"sendInitialEvents": True, "resourceVersionMatch": "NotOlderThan"}
        else:
            params["resourceVersion"] = str(self._mirror.position)
        return params

    def _event(self, line: bytes) -> _Event:
        """Opens the envelope; raises what an ERROR event says, and UnavailableError for half a line."""
        try:
            event = _EVENTS.decode(line)
        except UNREADABLE as error:
            raise UnavailableError(f"the watch is garbled: {error}", reason=GARBLED) from error
        if event.type == "ERROR":
            raise refusal(0, event.object)
        return event

    def _apply(self, event: _Event) -> None:
        if event.type == "BOOKMARK":
            version, _ = _bookmark(event)
            self._mirror.position = max(self._mirror.position, version)
            return
        obj = self._understand(event.object)
        if obj is not None:
            self._mirror.apply(event.type, obj)  # type: ignore[arg-type]  # anything unknown counts as a change
        elif (meta := identify(event.object)) is not None:
            self._mirror.forget(meta.namespace, meta.name, int(meta.resource_version))

    def _collect(self, snapshot: dict[Key, T], event: _Event) -> None:
        """Gathers one of the synthetic events which a WatchList begins with, or a real one which comes between."""
        obj = self._understand(event.object)
        if obj is not None and event.type != "DELETED":
            snapshot[obj.metadata.key] = obj
        elif (meta := identify(event.object)) is not None:
            snapshot.pop((meta.namespace, meta.name), None)

    def _understand(self, raw: msgspec.Raw) -> T | None:
        """Decodes an object; reports one that does not fit its projection and returns None."""
        try:
            obj = self._decoder.decode(raw)
        except UNREADABLE as error:
            self._on_error(not_understood(self._resource, raw, error))
            return None
        if not obj.metadata.resource_version.isdigit():
            self._on_error(not_understood(self._resource, raw, ValueError("resourceVersion is not a number")))
            return None
        self._sharing.share(obj)
        return obj

    def _doubt(self, error: ToeError) -> None:
        """Decides what must be asked anew after ``error`` before following on."""
        if isinstance(error, (InvalidError, NotFoundError)):
            self._listed = False  # the version is refused, or the kind was gone for a while
        elif isinstance(error, ClusterError) and (error.reason == NEVER_SENT or error.status >= 500):
            self._doubtful = True
        if getattr(error, "reason", "") in (GARBLED, SHORT, SILENT, AMBIGUOUS):
            self._fruitless += 1
            if self._fruitless % 5 == 0:
                self._listed = False  # something between us and the server eats watches: lists may come through

    async def _pause(self, error: ToeError | None) -> None:
        """Waits before the next try: longer each time, at random, and never less than the server wishes."""
        pace = self._pace
        grown = min(pace.longest_retry, pace.first_retry * 2.0 ** min(self._failures, 32))
        wish = error.retry_after if isinstance(error, ClusterError) else None
        self._failures += 1
        await asyncio.sleep((wish or 0.0) + grown * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load

    def _tell(self, error: ToeError) -> None:
        if isinstance(error, DecodeError):
            _log.warning("object cannot be understood", resource=self._resource.plural, error=str(error))
        else:
            _log.warning("watch interrupted", resource=self._resource.plural, error=str(error))


def _bookmark(event: _Event) -> tuple[int, bool]:
    """Is the version of a bookmark, and whether it is the one that ends the beginning of a WatchList."""
    meta = identify(event.object)
    if meta is None:
        raise UnavailableError("the watch is garbled: a bookmark without a version", reason=GARBLED)
    return int(meta.resource_version), (meta.annotations or {}).get(INITIAL_EVENTS_END) == "true"
