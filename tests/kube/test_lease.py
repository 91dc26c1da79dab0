"""The election: never two who may write, and somebody who does soon after the last one is gone."""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from toe.api.meta import ObjectMeta
from toe.errors import ConflictError, NotFoundError, ToeError, UnavailableError
from toe.kube.client import Client
from toe.kube.lease import DEADLINE, DURATION, LOOK, PERIOD, Election, LostError, uptime
from toe.kube.resource import Lease, LeaseSpec

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
ROUND = 0.01
"""Seconds from a question to the server, and from there to its answer, while nothing is wrong."""


class Server:
    """Keeps one Lease as the API server does: a write is of the version that was seen, or fails."""

    def __init__(self) -> None:
        self.lease: Lease | None = None
        self.version = 0
        self.writes = 0

    def create(self, spec: LeaseSpec) -> Lease:
        if self.lease is not None:
            raise ConflictError("exists", status=409)
        return self.store(spec)

    def get(self) -> Lease:
        if self.lease is None:
            raise NotFoundError("none", status=404)
        return self.lease

    def patch(self, body: dict[str, Any]) -> Lease:
        if self.lease is None:
            raise NotFoundError("none", status=404)
        if body["metadata"]["resourceVersion"] != self.lease.metadata.resource_version:
            raise ConflictError("changed", status=409)
        before = msgspec.to_builtins(self.lease.spec)
        return self.store(msgspec.convert(before | msgspec.to_builtins(body["spec"]), LeaseSpec))

    def store(self, spec: LeaseSpec) -> Lease:
        self.version += 1
        self.writes += 1
        self.lease = Lease(spec, ObjectMeta(name="toe", uid="u", resource_version=str(self.version)))
        return self.lease


class World:
    """Is time, the server, and what is on its way: everything happens when a test says so, in one order."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.server = Server()
        self.processes: list[Process] = []
        self.started = itertools.count(1)
        self._coming: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()

    def start(self, skew: float = 0.0) -> "Process":
        """Starts one that takes part; its wall clock is wrong by ``skew`` seconds."""
        process = Process(self, f"p{next(self.started)}", skew)
        self.processes.append(process)
        return process

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._coming, (self.now + seconds, next(self._number), what))

    def advance(self, seconds: float, check: Callable[[], None] = lambda: None) -> None:
        """Lets time pass, event by event, and checks after each of them."""
        end = self.now + seconds
        while True:
            moments = [moment for process in self.processes if (moment := process.wakes_at()) is not None]
            moments += [self._coming[0][0]] if self._coming else []
            self.now = max(self.now, min([end, *moments]))
            while self._coming and self._coming[0][0] <= self.now:
                heapq.heappop(self._coming)[2]()
            for process in [*self.processes]:
                process.work()
                check()
            if self.now >= end and not (self._coming and self._coming[0][0] <= end):
                return

    def writers(self) -> list[str]:
        """Names those who may write at this moment, also those who are frozen: they may wake right now."""
        return [process.name for process in self.processes if process.election.holds()]

    def close(self) -> None:
        for process in [*self.processes]:
            process.kill()


class Loop(asyncio.SelectorEventLoop):
    """Runs one process; its time is the world's."""

    def __init__(self, world: World) -> None:
        self._world = world
        super().__init__()

    def time(self) -> float:
        return self._world.now

    def next_moment(self) -> float | None:
        """Tells when it has something to do."""
        if self._ready:  # type: ignore[attr-defined]
            return self._world.now
        waiting = [handle.when() for handle in self._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
        return min(waiting, default=None)


class Process:
    """Is one who takes part, with a loop of its own, so that it can be frozen in the middle of anything."""

    def __init__(self, world: World, name: str, skew: float) -> None:
        self.world, self.name, self.skew = world, name, skew
        self.is_frozen, self.is_alone = False, False
        self.slow = ROUND
        self.fates: list[str] = []
        self.loop = Loop(world)
        client = cast(Client, self)
        clock = lambda: EPOCH + timedelta(seconds=world.now + self.skew)  # noqa: E731
        self.election = Election(client, "toe-system", "toe", name, clock, now=lambda: world.now)
        self.task = self.loop.create_task(self.election.run())
        self.is_told = False
        self.life: asyncio.Future[Any] = self.task

    def wakes_at(self) -> float | None:
        return None if self.is_frozen or self.loop.is_closed() else self.loop.next_moment()

    def work(self) -> None:
        """Does all that is due; when its election has ended it is gone, as a process that exits is."""
        while (moment := self.wakes_at()) is not None and moment <= self.world.now:
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        if not self.loop.is_closed() and self.life.done():
            assert self.is_told or isinstance(self.task.exception(), LostError)
            self.kill()

    def kill(self) -> None:
        """Ends it at once: nothing of it is ever heard again, but what is on its way arrives."""
        if self in self.world.processes:
            self.world.processes.remove(self)
        if not self.loop.is_closed():
            self.task.cancel()
            self.life.cancel()
            self.loop.run_until_complete(asyncio.gather(self.task, self.life, return_exceptions=True))
            self.loop.close()

    def stop(self) -> None:
        """Ends it in order: its election is cut off wherever it is, and the Lease is given up."""
        if not self.is_told:
            self.is_told = True
            self.task.cancel()
            self.life = self.loop.create_task(self._release())

    async def _release(self) -> None:
        await asyncio.gather(self.task, return_exceptions=True)
        await self.election.release()

    # What an election asks its client for

    async def create(self, resource: object, namespace: str, body: dict[str, Any]) -> Lease:
        return await self._ask(lambda: self.world.server.create(body["spec"]))

    async def get(self, resource: object, namespace: str, name: str) -> Lease:
        return await self._ask(self.world.server.get)

    async def patch(self, resource: object, namespace: str, name: str, body: dict[str, Any], *, kind: str) -> Lease:
        return await self._ask(lambda: self.world.server.patch(body))

    async def _ask(self, call: Callable[[], Lease]) -> Lease:
        """Sends a question; it and its answer take time, and either may be lost."""
        future: asyncio.Future[Lease] = self.loop.create_future()
        fate = self.fates.pop(0) if self.fates else ""

        def answer(lease: Lease | None, error: ToeError | None) -> None:
            if self.loop.is_closed() or future.done():
                return
            if error is not None:
                future.set_exception(error)
            elif lease is not None:
                future.set_result(lease)

        def arrive() -> None:
            lease, error = None, None
            try:
                lease = call()
            except ToeError as refused:
                error = refused
            if fate == "answer":
                lease, error = None, UnavailableError("the connection was lost")
            if fate != "silence" and not self.is_alone:
                self.world.later(self.slow, lambda: answer(lease, error))

        if fate == "question":
            self.world.later(self.slow, lambda: answer(None, UnavailableError("no connection")))
        elif not self.is_alone:
            self.world.later(self.slow, arrive)
        return await future


class Elections(RuleBasedStateMachine):
    """Two or three take part while everything that can go wrong does."""

    somebody = Bundle("somebody")

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.seats: list[Process] = []

    @initialize(target=somebody, skews=st.lists(st.floats(-300, 300), min_size=2, max_size=3))
    def begin(self, skews: list[float]) -> Any:
        self.seats = [self.world.start(skew) for skew in skews]
        return multiple(*range(len(skews)))

    def process(self, seat: int) -> Process:
        """Returns who sits there; a process that has ended was started anew by its kubelet, as another one."""
        if self.seats[seat] not in self.world.processes:
            self.seats[seat] = self.world.start(self.seats[seat].skew)
        return self.seats[seat]

    def check(self) -> None:
        assert len(self.world.writers()) <= 1, self.world.writers()

    @rule(seconds=st.one_of(st.floats(0, 0.1), st.floats(0.1, 3), st.floats(3, 40)))
    def time_passes(self, seconds: float) -> None:
        self.world.advance(seconds, self.check)

    @rule(seat=somebody)
    def one_freezes(self, seat: int) -> None:
        self.process(seat).is_frozen = True

    @rule(seat=somebody)
    def one_wakes(self, seat: int) -> None:
        self.process(seat).is_frozen = False

    @rule(seat=somebody)
    def one_is_killed(self, seat: int) -> None:
        self.process(seat).kill()

    @rule(seat=somebody)
    def one_is_told_to_stop(self, seat: int) -> None:
        process = self.process(seat)
        if not process.is_frozen:
            process.stop()

    @rule(seat=somebody, alone=st.booleans())
    def one_hears_nobody(self, seat: int, alone: bool) -> None:
        self.process(seat).is_alone = alone

    @rule(seat=somebody, fates=st.lists(st.sampled_from(["question", "answer", "silence", ""]), max_size=4))
    def answers_are_lost(self, seat: int, fates: list[str]) -> None:
        self.process(seat).fates = fates

    @rule(seat=somebody, slow=st.floats(ROUND, 20))
    def the_network_is_slow(self, seat: int, slow: float) -> None:
        self.process(seat).slow = slow

    @rule(seat=somebody, skew=st.floats(-3600, 3600))
    def a_wall_clock_jumps(self, seat: int, skew: float) -> None:
        self.process(seat).skew = skew

    @rule()
    def somebody_else_writes(self) -> None:
        """A label, a backup that is restored: the same holder, another version."""
        if self.world.server.lease is not None:
            self.world.server.store(self.world.server.lease.spec)

    @rule()
    def somebody_removes_the_lease(self) -> None:
        """While all know it; who has never seen it cannot know that there was a holder, and comes later only."""
        if all(process.election._seen is not None for process in self.world.processes):
            self.world.server.lease = None
            self.world.advance(DEADLINE * DURATION, self.check)

    @invariant()
    def never_two_may_write(self) -> None:
        self.check()

    def teardown(self) -> None:
        """When nothing is wrong any more, somebody leads within a bound, and goes on leading."""
        try:
            for seat in range(len(self.seats)):
                process = self.process(seat)
                process.is_frozen, process.is_alone, process.fates, process.slow = False, False, [], ROUND
            # What was slow arrives within 20 s; a look that waits for an answer gives up after a third of the duration.
            self.world.advance(20, self.check)
            for seat in range(len(self.seats)):
                self.process(seat)
            self.world.advance(DURATION * (1 + DEADLINE / 2 + 2 * LOOK) + 1, self.check)
            leader = self.world.writers()
            assert len(leader) == 1 or not self.seats
            self.world.advance(60, self.check)
            assert self.world.writers() == leader
        finally:
            self.world.close()


TestElections = Elections.TestCase
TestElections.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


@pytest.fixture
def world() -> Iterator[World]:
    """Nothing has happened yet."""
    found = World()
    yield found
    found.close()


def lead(world: World) -> tuple[Process, Process]:
    """Starts two, and returns the one that leads first."""
    first = world.start()
    world.advance(0.5)
    second = world.start()
    world.advance(5)
    assert world.writers() == [first.name]
    return first, second


@pytest.mark.parametrize("moment", [0.0, 0.7, 1.3, 1.999])
def test_who_dies_is_followed_within_the_duration_and_a_look(world: World, moment: float) -> None:
    """Whenever in its life; no sooner than its Lease ran out."""
    first, second = lead(world)
    world.advance(moment)
    first.kill()
    died = world.now
    while not second.election.holds():
        world.advance(0.05)
    assert DURATION * (1 - PERIOD) - 0.1 <= world.now - died <= DURATION * (1 + LOOK) + 0.2


def test_who_sleeps_past_its_time_may_not_write_when_it_wakes_and_ends(world: World) -> None:
    """Before it has asked anybody: the moment alone tells."""
    first, second = lead(world)
    first.is_frozen = True
    world.advance(DEADLINE * DURATION + 0.1)
    assert not first.election.holds()
    assert not second.election.holds()
    world.advance(DURATION)
    assert second.election.holds()
    writes = world.server.writes
    first.is_frozen = False
    world.advance(0)
    assert first.task.done()
    assert world.server.writes == writes


def test_what_is_given_up_is_taken_within_a_look(world: World) -> None:
    """Without waiting for the time to run out; the transition is counted."""
    first, second = lead(world)
    first.stop()
    world.advance(LOOK * DURATION + 0.1)
    assert second.election.holds()
    assert not first.election.holds()
    assert world.server.lease is not None
    spec = world.server.lease.spec
    assert (spec.holder_identity, spec.lease_transitions, spec.lease_duration_seconds) == (second.name, 1, 15)


def test_a_renewal_that_is_cut_off_does_not_keep_it_from_being_given_up(world: World) -> None:
    """It may have come through: the Lease is read again first."""
    first, second = lead(world)
    while first.election._is_doubtful is False:
        world.advance(0.001)
    world.advance(ROUND)  # it is stored, and its answer is on its way
    first.stop()
    world.advance(LOOK * DURATION + 0.1)
    assert second.election.holds()


def test_a_renewal_that_somebody_else_came_before_gives_nothing_up(world: World) -> None:
    """What is read again is another one's."""
    first, _ = lead(world)
    while first.election._is_doubtful is False:
        world.advance(0.001)
    world.server.store(LeaseSpec(holder_identity="other", lease_duration_seconds=15))
    first.stop()
    world.advance(1)
    assert world.server.lease is not None
    assert world.server.lease.spec.holder_identity == "other"


def test_time_counts_from_when_a_renewal_was_sent(world: World) -> None:
    """Not from its answer: others count from when it was stored."""
    first, _ = lead(world)
    first.slow = 2.0
    before = first.election._until
    while first.election._until == before:
        world.advance(0.1)
    assert first.election._until <= world.now + DEADLINE * DURATION - 2 * 2.0


def test_a_lease_that_was_removed_counts_for_its_duration_more(world: World) -> None:
    """Whoever held it, if anybody did, may not know yet."""
    world.server.store(LeaseSpec(holder_identity="", lease_duration_seconds=15))
    only = world.start()
    only.fates = ["", "question"]  # it sees that nobody holds it, and its own write is lost
    world.advance(3 * ROUND)
    world.server.lease = None
    world.advance(DURATION - 1)
    assert not only.election.holds()
    world.advance(4)
    assert only.election.holds()


def test_who_lost_it_does_not_give_up_what_another_one_holds(world: World) -> None:
    """An ordered end comes after every end."""
    first, _ = lead(world)
    world.server.store(LeaseSpec(holder_identity="other", lease_duration_seconds=15))
    world.advance(3.5)
    assert "held by 'other'" in str(first.task.exception())
    asyncio.run(first.election.release())
    assert world.server.lease is not None
    assert world.server.lease.spec.holder_identity == "other"


def test_who_finds_another_holder_may_not_write_from_then_on(world: World) -> None:
    """However young its own renewal is; and it never takes it back, not even when it is given up."""
    only = world.start()
    world.advance(5)
    world.server.store(LeaseSpec(holder_identity="", lease_duration_seconds=15))
    world.advance(3.5)
    assert not only.election.holds()
    assert only.task.done()


def test_who_cannot_renew_ends_when_its_time_is_over(world: World) -> None:
    """And not when a question that nobody answers gives up."""
    first, _ = lead(world)
    first.is_alone = True
    until = first.election._until
    world.advance(until - world.now - 0.01)
    assert first.election.holds()
    assert not first.task.done()
    world.advance(0.02)
    assert "could not be renewed in 10 s" in str(first.task.exception())


def test_at_rest_a_renewal_is_one_request_each_two_seconds(world: World) -> None:
    """And keeps when it was acquired; who stands by only looks."""
    lead(world)
    assert world.server.lease is not None
    before, writes = world.server.lease.spec, world.server.writes
    world.advance(60)
    after = world.server.lease.spec
    assert 28 <= world.server.writes - writes <= 30
    assert after.renew_time != before.renew_time
    assert msgspec.structs.replace(after, renew_time="") == msgspec.structs.replace(before, renew_time="")


def test_its_time_is_over_before_the_others_take_it() -> None:
    """Room for a write that was sent at the last moment, and for two renewals that fail."""
    assert DEADLINE + 2 * PERIOD < 1
    assert DEADLINE > 3 * PERIOD


def test_the_clock_goes_on_while_the_machine_sleeps() -> None:
    """Linux's CLOCK_BOOTTIME: seconds since the machine started."""
    with open("/proc/uptime") as file:
        assert abs(float(file.read().split()[0]) - uptime()) < 5
