"""Promises of the work queue."""

import asyncio
from contextlib import suppress

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from toe.kube.queue import LONGEST_RETRY, WorkQueue

KEYS = st.sampled_from("abcde")


class QueueMachine(RuleBasedStateMachine):
    """Compares the queue with the simplest thing that could be right: sets, and a look at the clock."""

    working = Bundle("working")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.queue: WorkQueue[str] = WorkQueue(clock=lambda: self.now, jitter=lambda: 1.0)
        self.ready: list[tuple[float, str]] = []  # since when, key
        self.again: dict[str, float] = {}
        self.busy: set[str] = set()
        self.due: dict[str, float] = {}
        self.failures: dict[str, int] = {}

    def _waits(self, key: str) -> bool:
        return key in self.again or any(key == other for _, other in self.ready)

    def _put(self, key: str, since: float) -> None:
        if not self._waits(key):
            if key in self.busy:
                self.again[key] = since
            else:
                self.ready.append((since, key))

    def _ripen(self) -> None:
        for key, when in sorted(self.due.items(), key=lambda item: item[1]):
            if when <= self.now:
                del self.due[key]
                self._put(key, when)

    @rule(key=KEYS)
    def add(self, key: str) -> None:
        self._ripen()
        self.queue.depth  # noqa: B018 - ripens, so that ties in time are broken alike
        self.due.pop(key, None)
        self._put(key, self.now)
        self.queue.add(key)

    @rule(key=KEYS, seconds=st.integers(1, 20))
    def add_after(self, key: str, seconds: int) -> None:
        self._ripen()
        self.queue.depth  # noqa: B018
        if not self._waits(key):
            self.due[key] = min(self.due.get(key, float("inf")), self.now + seconds)
        self.queue.add_after(key, seconds)

    @rule(key=KEYS)
    def retry(self, key: str) -> None:
        self._ripen()
        self.queue.depth  # noqa: B018
        count = self.failures.get(key, 0)
        self.failures[key] = count + 1
        delay = min(60.0, 0.05 * 2**count)
        if not self._waits(key):
            self.due[key] = min(self.due.get(key, float("inf")), self.now + delay)
        assert self.queue.retry(key) == delay

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        self.failures.pop(key, None)
        self.queue.forget(key)

    @rule(seconds=st.floats(0.01, 30))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=working)
    def get(self) -> str:
        self._ripen()
        got = self.queue.get_nowait()
        if not self.ready:
            assert got is None
            return ""
        since = min(since for since, _ in self.ready)
        assert got is not None
        assert got not in self.busy, "two workers have one key"
        assert (got in {key for when, key in self.ready if when == since}) or got in {key for _, key in self.ready}
        self.ready = [(when, key) for when, key in self.ready if key != got]
        self.busy.add(got)
        return got

    @rule(key=working)
    def done(self, key: str) -> None:
        if key not in self.busy:
            return
        self._ripen()
        self.queue.depth  # noqa: B018
        self.busy.discard(key)
        if key in self.again:
            self.ready.append((self.again.pop(key), key))
        self.queue.done(key)

    @invariant()
    def agree(self) -> None:
        self._ripen()
        assert self.queue.depth == len(self.ready) + len(self.again)
        assert self.queue.delayed == len(self.due)
        assert self.queue.working == len(self.busy)
        assert self.queue.oldest_age <= self.now
        if not self.ready and not self.again:
            assert self.queue.oldest_age == 0


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestQueueMachine.__doc__ = (
    "Whatever is added, delayed, taken and finished in whatever order: no key is lost or doubled."
)


async def test_a_key_has_one_worker_at_a_time_and_is_never_lost() -> None:
    """However many workers pull and however often a key is added, it is worked on alone and once more at the end."""
    queue: WorkQueue[int] = WorkQueue()
    active: set[int] = set()
    seen_version: dict[int, int] = {}
    version = dict.fromkeys(range(5), 0)

    async def work() -> None:
        while (key := await queue.get()) is not None:
            assert key not in active
            active.add(key)
            seen_version[key] = version[key]
            await asyncio.sleep(0)
            active.discard(key)
            queue.done(key)

    workers = [asyncio.create_task(work()) for _ in range(8)]
    for step in range(500):
        key = step % 5
        version[key] += 1
        queue.add(key)
        if step % 3 == 0:
            await asyncio.sleep(0)
    while queue.depth or queue.working:  # noqa: ASYNC110 - the end of all work has no event
        await asyncio.sleep(0)
    assert seen_version == version
    queue.close()
    await asyncio.gather(*workers)


async def test_a_delay_ends_while_workers_wait() -> None:
    """A waiting worker gets a delayed key when its time has come, without anybody adding anything."""
    queue: WorkQueue[str] = WorkQueue()
    getting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add_after("late", 0.05)
    queue.add_after("early", 0.01)
    assert await asyncio.wait_for(getting, 1) == "early"
    assert await asyncio.wait_for(queue.get(), 1) == "late"


async def test_keys_that_ripen_together_wake_as_many_workers() -> None:
    """Two delays that end at once are worked on by two waiting workers at once, not one after the other."""
    now = 0.0
    queue: WorkQueue[str] = WorkQueue(clock=lambda: now)
    workers = [asyncio.create_task(queue.get()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.add_after("a", 0.01)
    queue.add_after("b", 0.01)
    now = 1.0
    assert sorted(await asyncio.wait_for(asyncio.gather(*workers), 5)) == ["a", "b"]  # type: ignore[type-var]


async def test_a_fresh_add_cancels_a_delay() -> None:
    """What just happened is worked on now and not a second time when the old delay would have ended."""
    now = 0.0
    queue: WorkQueue[str] = WorkQueue(clock=lambda: now)
    queue.add_after("k", 10)
    queue.add("k")
    assert queue.get_nowait() == "k"
    queue.done("k")
    now = 11.0
    assert queue.get_nowait() is None


async def test_a_worker_that_is_cancelled_passes_its_turn_on() -> None:
    """A key given to a worker in the moment it is cancelled goes to another one."""
    queue: WorkQueue[str] = WorkQueue()
    first = asyncio.create_task(queue.get())
    second = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("k")
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    assert await asyncio.wait_for(second, 1) == "k"


async def test_closing_releases_every_worker() -> None:
    """After close, present and future gets return None and adds do nothing."""
    queue: WorkQueue[str] = WorkQueue()
    waiting = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.add_after("k", 0.01)
    queue.close()
    assert await asyncio.gather(*waiting) == [None, None, None]
    queue.add("k")
    queue.add_after("k", 1)
    assert await queue.get() is None
    assert queue.closed
    assert queue.depth == 0


def test_back_off_doubles_to_a_minute_and_starts_over() -> None:
    """Retries wait 0.05 s, 0.1 s, 0.2 s and so on up to 60 s; forget makes the next one quick."""
    queue: WorkQueue[str] = WorkQueue(clock=lambda: 0.0, jitter=lambda: 1.0)
    delays = [queue.retry("k") for _ in range(40)]
    assert delays[:4] == pytest.approx([0.05, 0.1, 0.2, 0.4])
    assert delays[-1] == LONGEST_RETRY
    assert queue.failures("k") == 40
    queue.forget("k")
    assert queue.retry("k") == pytest.approx(0.05)


def test_jitter_spreads_retries() -> None:
    """Two keys that failed together do not come back together."""
    queue: WorkQueue[int] = WorkQueue(clock=lambda: 0.0)
    delays = {queue.retry(key) for key in range(50)}
    assert len(delays) > 40
    assert all(0.025 <= delay <= 0.05 for delay in delays)


def test_oldest_age_tells_how_long_the_first_key_has_waited() -> None:
    """The age counts from when a key became ready, not from when somebody asked."""
    now = 0.0
    queue: WorkQueue[str] = WorkQueue(clock=lambda: now)
    queue.add_after("a", 5)
    now = 8.0
    queue.add("b")
    assert queue.oldest_age == pytest.approx(3.0)


def test_cancelled_delays_take_no_memory() -> None:
    """A key that is delayed and added a million times leaves no trail."""
    queue: WorkQueue[int] = WorkQueue(clock=lambda: 0.0)
    for step in range(10_000):
        queue.add_after(step % 3, 1000 - step * 0.01)
    assert len(queue._heap) <= 65


async def test_lanes_take_turns() -> None:
    """However many keys wait in one, and whenever one came; within a lane the one that waits longest is first."""
    queue: WorkQueue[str] = WorkQueue(lane=lambda key: key[0])
    for key in ("a1", "a2", "a3", "b1", "c1", "b2"):
        queue.add(key)
    assert queue.depth == 6
    first = [queue.get_nowait() for _ in range(3)]
    queue.add("d1")
    queue.add("a1")
    queue.done("a1")
    assert first == ["a1", "b1", "c1"]
    assert [queue.get_nowait() for _ in range(6)] == ["a2", "b2", "d1", "a3", "a1", None]


def test_one_that_sleeps_keeps_nothing() -> None:
    """Who stands by for weeks has no more keys in the end than in the beginning; awake, it takes what it is told to."""
    queue: WorkQueue[str] = WorkQueue(asleep=True)
    queue.add("a")
    queue.add_after("b", 0.0)
    queue.add_after("c", 5.0)
    assert queue.get_nowait() is None
    queue.awaken(["d"])
    queue.add("e")
    assert [queue.get_nowait(), queue.get_nowait(), queue.get_nowait()] == ["d", "e", None]
