"""The election: never two who may write, and somebody who does soon after the last one is gone."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toe.api.meta import ObjectMeta
from toe.errors import ConflictError, NotFoundError, UnavailableError
from toe.kube import lease as module
from toe.kube.client import Client
from toe.kube.lease import DEADLINE, DURATION, LOOK, PERIOD, Election, LostError
from toe.kube.resource import Lease, LeaseSpec

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Server:
    """Keeps one Lease as the API server does: a write is of the version that was seen, or fails."""

    def __init__(self) -> None:
        self.lease: Lease | None = None
        self.version = 0
        self.writes = 0

    def create(self, spec: LeaseSpec) -> Lease:
        if self.lease is not None:
            raise ConflictError("exists", status=409)
        return self._store(spec)

    def get(self) -> Lease:
        if self.lease is None:
            raise NotFoundError("none", status=404)
        return self.lease

    def patch(self, body: dict[str, Any]) -> Lease:
        if self.lease is None or body["metadata"]["resourceVersion"] != self.lease.metadata.resource_version:
            raise ConflictError("changed", status=409)
        before = msgspec.to_builtins(self.lease.spec)
        return self._store(msgspec.convert(before | msgspec.to_builtins(body["spec"]), LeaseSpec))

    def _store(self, spec: LeaseSpec) -> Lease:
        self.version += 1
        self.writes += 1
        self.lease = Lease(spec, ObjectMeta(name="toe", uid="u", resource_version=str(self.version)))
        return self.lease


class Network:
    """Is between one process and the server: answers may be lost, before or after the server heard."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.down = False
        self.lose: list[str] = []

    async def create(self, resource: object, namespace: str, body: dict[str, Any]) -> Lease:
        return self._through(lambda: self.server.create(body["spec"]))

    async def get(self, resource: object, namespace: str, name: str) -> Lease:
        return self._through(self.server.get)

    async def patch(self, resource: object, namespace: str, name: str, body: dict[str, Any], *, kind: str) -> Lease:
        return self._through(lambda: self.server.patch(body))

    def _through(self, call: Any) -> Lease:
        fate = self.lose.pop() if self.lose else ""
        if self.down or fate == "question":
            raise UnavailableError("no connection")
        answer: Lease = call()
        if fate == "answer":
            raise UnavailableError("the connection was lost")
        return answer


class Process:
    """Is one who takes part, moved by hand: a step is one try, as its loop makes it."""

    def __init__(self, name: str, server: Server, skew: float) -> None:
        self.time, self.skew = 0.0, skew
        self.network = Network(server)
        clock = lambda: EPOCH + timedelta(seconds=self.time + self.skew)  # noqa: E731
        client = cast(Client, self.network)
        self.election = Election(client, "toe-system", "toe", name, clock, lambda: self.time)
        self.next = 0.0
        self.frozen_until = 0.0

    def step(self) -> None:
        held = asyncio.run(self.election._tried())
        self.next = self.time + (PERIOD if held else LOOK)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), skews=st.lists(st.floats(-300, 300), min_size=2, max_size=3))
def test_never_two_may_write_and_someone_soon_does(seed: int, skews: list[float]) -> None:
    """Lost questions and answers, processes that freeze, networks that go away, clocks five minutes apart."""
    chance, server = random.Random(seed), Server()
    everybody = [Process(f"p{number}", server, skew) for number, skew in enumerate(skews)]
    now, quiet_since = 0.0, 0.0
    while now < 400:
        now += 0.25
        for process in everybody:
            process.time = now
        troubled = now < 250
        for process in everybody:
            if troubled and chance.random() < 0.004:
                process.frozen_until = now + chance.uniform(1, 40)
            if troubled and chance.random() < 0.004:
                process.network.down = not process.network.down
            if not troubled:
                process.network.down, process.frozen_until = False, min(process.frozen_until, now)
            process.network.lose = ["question", "answer"] if troubled and chance.random() < 0.03 else []
            if now >= process.next and now >= process.frozen_until:
                process.step()
        writers = [process for process in everybody if process.election.holds()]
        assert len(writers) <= 1, now
        if writers or troubled:
            quiet_since = now
        assert now - quiet_since <= DURATION + 3 * LOOK, "nobody leads"


def test_a_frozen_holder_may_not_write_when_it_wakes() -> None:
    """Before it has asked anybody: the moment alone tells."""
    server = Server()
    first, second = Process("a", server, 0), Process("b", server, 0)
    first.step()
    assert first.election.holds()
    for tenth in range(200):
        second.time = tenth / 10
        if second.time >= second.next:
            second.step()
    assert second.election.holds()
    first.time = 20.0
    assert not first.election.holds()
    first.step()
    assert not first.election.holds()


def test_what_is_given_up_is_taken_at_once() -> None:
    """Without waiting for the time to run out; the transition is counted, the holder's time of acquisition is new."""
    server = Server()
    first, second = Process("a", server, 0), Process("b", server, 0)
    first.step()
    second.step()
    assert not second.election.holds()
    asyncio.run(first.election.release())
    assert not first.election.holds()
    second.time = 1.0
    second.step()
    assert second.election.holds()
    assert server.lease is not None
    assert (server.lease.spec.holder_identity, server.lease.spec.lease_transitions) == ("b", 1)
    asyncio.run(first.election.release())
    assert server.lease.spec.holder_identity == "b"


def test_a_renewal_keeps_when_it_was_acquired() -> None:
    """And is one request."""
    server = Server()
    first = Process("a", server, 0)
    first.step()
    assert server.lease is not None
    acquired = server.lease.spec.acquire_time
    first.time = 2.0
    first.step()
    assert (server.lease.spec.acquire_time, server.writes) == (acquired, 2)
    assert server.lease.spec.renew_time != acquired


async def test_who_cannot_renew_stops_before_the_lease_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an error that ends the process."""
    for name, value in (("PERIOD", 0.01), ("LOOK", 0.01), ("DEADLINE", 0.1), ("DURATION", 0.15)):
        monkeypatch.setattr(module, name, value)
    network = Network(Server())
    election = Election(cast(Client, network), "toe-system", "toe", "a", lambda: EPOCH)
    work = asyncio.create_task(election.run())
    await election.won.wait()
    network.down = True
    with pytest.raises(LostError, match="could not be renewed"):
        await asyncio.wait_for(work, 5)


async def test_who_finds_another_holder_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An administrator may have taken it away."""
    monkeypatch.setattr(module, "PERIOD", 0.01)
    server = Server()
    election = Election(cast(Client, Network(server)), "toe-system", "toe", "a", lambda: EPOCH)
    work = asyncio.create_task(election.run())
    await election.won.wait()
    server._store(LeaseSpec(holder_identity="b", lease_duration_seconds=15))
    with pytest.raises(LostError, match="held by 'b'"):
        await asyncio.wait_for(work, 5)


def test_its_time_is_over_before_the_others_take_it() -> None:
    """Room for a write that was sent at the last moment."""
    assert DEADLINE + 2 * PERIOD < DURATION
