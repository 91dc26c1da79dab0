"""What to work on next: a queue of keys that forgets nothing, repeats nothing and never lets two work on one key.

Keys wait in lanes, which take turns: thousands of keys in one lane make the one key of another wait for one turn.
"""

import asyncio
import heapq
import itertools
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_RETRY = 0.05
LONGEST_RETRY = 60.0


class WorkQueue(Generic[K]):
    """Hands out keys, each to one worker at a time; a key added while it is worked on comes once more afterwards.

    ``lane`` returns in which lane a key waits, ``clock`` seconds that only grow, ``jitter`` a factor for the delay of
    each retry.
    """

    def __init__(
        self,
        *,
        lane: Callable[[K], Hashable] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = lambda: random.uniform(0.5, 1.0),  # noqa: S311 - spreads load, guards nothing
        asleep: bool = False,
    ) -> None:
        """``asleep``: nothing is kept until :meth:`awaken`, however long that takes."""
        self._clock = clock
        self._jitter = jitter
        self._lane = lane
        # Lanes in the order of their turns: key -> since when it waits. A lane without keys is not here.
        self._ready: OrderedDict[Hashable, OrderedDict[K, float]] = OrderedDict()
        self._again: dict[K, float] = {}  # added while worked on -> since when
        self._working: set[K] = set()
        self._due: dict[K, float] = {}  # key -> when it becomes ready
        self._heap: list[tuple[float, int, K]] = []  # may hold entries that _due no longer agrees with
        self._sequence = 0
        self._failures: dict[K, int] = {}
        self._waiters: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._asleep = asleep

    def awaken(self, keys: Iterable[K]) -> None:
        """Takes keys from now on, and these first."""
        self._asleep = False
        for key in keys:
            self.add(key)

    def add(self, key: K) -> None:
        """Makes ``key`` ready now; a delay it was waiting for is cancelled. Adding a waiting key changes nothing."""
        if self._closed or self._asleep:
            return
        self._ripen()
        self._due.pop(key, None)
        self._put(key, self._clock())
        self._wake()

    def add_after(self, key: K, seconds: float) -> None:
        """Makes ``key`` ready in ``seconds``. The earlier of two delays wins; a key that is ready stays ready."""
        if self._closed or self._asleep:
            return
        if seconds <= 0:
            self.add(key)
            return
        if self._is_ready(key) or key in self._again:
            return
        when = self._clock() + seconds
        if when >= self._due.get(key, float("inf")):
            return
        self._due[key] = when
        self._sequence += 1
        heapq.heappush(self._heap, (when, self._sequence, key))
        self._compact()
        self._arm()

    def retry(self, key: K) -> float:
        """Makes ``key`` ready after a delay that doubles with each failure in a row, and returns the seconds.

        Delays run from 0.05 s to 60 s, times the jitter. :meth:`forget` starts over.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** min(failures, 32)) * self._jitter()
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """Forgets how often ``key`` failed: the next retry is quick again."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        """Is how often ``key`` was retried since it was last forgotten."""
        return self._failures.get(key, 0)

    async def get(self) -> K | None:
        """Waits for the next key and reserves it until :meth:`done`; None once the queue is closed."""
        while not self._closed:
            key = self.get_nowait()
            if key is not None:
                return key
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters[waiter] = None
            self._arm()
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._wake()  # this worker was woken and leaves: another one has to take its place
                raise
            finally:
                self._waiters.pop(waiter, None)
        return None

    def get_nowait(self) -> K | None:
        """Reserves the key that waited longest in the lane whose turn it is; None when nothing is ready."""
        self._ripen()
        if not self._ready:
            return None
        lane, keys = next(iter(self._ready.items()))
        key, _ = keys.popitem(last=False)
        if keys:
            self._ready.move_to_end(lane)
        else:
            del self._ready[lane]
        self._working.add(key)
        if self._ready:
            self._wake()
        return key

    def done(self, key: K) -> None:
        """Ends the reservation of ``key``; if it was added meanwhile it is ready again."""
        self._working.discard(key)
        since = self._again.pop(key, None)
        if since is not None and not self._closed:
            self._put(key, since)
            self._wake()

    def close(self) -> None:
        """Makes every present and future :meth:`get` return None. What was ready is dropped: it is all recomputable."""
        self._closed = True
        self._ready.clear()
        self._again.clear()
        self._due.clear()
        self._heap.clear()
        self._disarm()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    @property
    def closed(self) -> bool:
        """Tells whether :meth:`close` was called."""
        return self._closed

    @property
    def depth(self) -> int:
        """Is how many keys are ready or will be as soon as their present pass ends."""
        self._ripen()
        return sum(map(len, self._ready.values())) + len(self._again)

    @property
    def delayed(self) -> int:
        """Is how many keys wait for their time."""
        self._ripen()
        return len(self._due)

    @property
    def working(self) -> int:
        """Is how many keys are being worked on."""
        return len(self._working)

    @property
    def oldest_age(self) -> float:
        """Is how many seconds the key that waits longest has been ready; 0 when none waits."""
        self._ripen()
        waiting = (since for keys in self._ready.values() for since in keys.values())
        since = min(itertools.chain(waiting, self._again.values()), default=None)
        return 0.0 if since is None else max(0.0, self._clock() - since)

    def _put(self, key: K, since: float) -> None:
        if key in self._working:
            self._again.setdefault(key, since)
        else:
            self._ready.setdefault(self._lane(key), OrderedDict()).setdefault(key, since)

    def _is_ready(self, key: K) -> bool:
        return key in self._ready.get(self._lane(key), ())

    def _ripen(self) -> None:
        """Moves the keys whose time has come to the ready ones."""
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            when, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == when:
                del self._due[key]
                self._put(key, when)

    def _compact(self) -> None:
        """Keeps cancelled delays from piling up: the heap stays within twice the keys that really wait."""
        if len(self._heap) > 64 and len(self._heap) > 2 * len(self._due):
            self._heap = [entry for entry in self._heap if self._due.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)

    def _wake(self) -> None:
        """Lets one waiting worker look."""
        while self._waiters:
            waiter, _ = self._waiters.popitem(last=False)
            if not waiter.done():
                waiter.set_result(None)
                return

    def _arm(self) -> None:
        """Sets one timer for the earliest delay, as long as somebody waits for it."""
        self._disarm()
        if not self._heap or not self._waiters or self._closed:
            return
        seconds = max(0.0, self._heap[0][0] - self._clock())
        self._timer = asyncio.get_running_loop().call_later(seconds, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._ripen()
        if self._ready:
            self._wake()
        self._arm()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
