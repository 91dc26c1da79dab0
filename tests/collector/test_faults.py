"""Whatever fails on the way: nothing is lost, doubled, altered, outside of the root, or left behind.

``toe collector`` is a child process that is killed with SIGKILL at random moments and started again, while supervisors
that keep to docs/reference/collector.md bring their files over connections that are cut. bench/collector.py does the
same with 1,000 uploads.
"""

import asyncio
import json
import os
import random
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest

from tests.collector.stage import RUN, Collector, Said, Tickets, a_session, as_json, chunk, collecting, digest, request
from tests.collector.toyapi import ToyApi

pytestmark = pytest.mark.process

UPLOADS, KILLS = 100, 8
KIB = 1024


class Supervisor:
    """Brings files as toe-run does: it repeats what was not answered, and goes on where it is told to.

    ``chance`` decides where connections are cut, chunks come twice, or out of their order.
    """

    def __init__(self, collector: Collector, chance: random.Random, *, faults: float = 0.1) -> None:
        self._collector, self._chance, self._faults = collector, chance, faults
        self.session = a_session()
        self.tries = 0

    async def run(self, ticket: str, files: dict[str, bytes]) -> dict[str, str]:
        """Claims, brings all files and completes; returns the keys by the names."""
        await self.ask(request("POST", "/v1/claim", ticket, as_json({"session": self.session})), {200, 201})
        keys = {name: await self.upload(name, content) for name, content in files.items()}
        said = await self.ask(request("POST", "/v1/complete", self.session), {200})
        assert said.json == {"files": len(files), "bytes": sum(map(len, files.values()))}, said
        return keys

    async def upload(self, name: str, content: bytes) -> str:
        """Brings one file; a file that is damaged is begun anew."""
        for _ in range(50):
            file, offset = await self.open(name)
            while offset < len(content):
                size = self._chance.randint(1, 40 * KIB)
                sent = self._mangled(file, content, offset, size)
                said = await self.ask(sent, {200, 409, 422, 404})
                if said.status == 404:
                    file, offset = await self.open(name)
                elif said.status == 422 and said.reason == "FileDamaged":
                    offset = 0
                elif said.reason != "ChunkDamaged":
                    assert said.reason in ("", "WrongOffset"), said
                    offset = said.json["offset"]
            told = as_json({"bytes": len(content), "sha256": digest(content)})
            said = await self.ask(request("POST", f"/v1/files/{file}/commit", self.session, told), {200, 201, 404, 422})
            if said.status < 300:
                return str(said.json["key"])
        raise AssertionError(f"{name} was damaged 50 times")

    async def open(self, name: str) -> tuple[str, int]:
        said = await self.ask(request("POST", "/v1/files", self.session, as_json({"name": name})), {200, 201})
        return said.json["file"], said.json["offset"]

    def _mangled(self, file: str, content: bytes, offset: int, size: int) -> bytes:
        """Is the next chunk, or one that came before, or one that is too early, or one that was damaged on its way."""
        fault = self._chance.random()
        if fault < self._faults and offset:
            offset = self._chance.randrange(offset)
        elif fault < 2 * self._faults:
            offset = min(offset + self._chance.randint(1, size), len(content) - 1)
        piece = content[offset : offset + size]
        if fault > 1 - self._faults:
            damaged = bytes([piece[0] ^ 1]) + piece[1:]
            return chunk(self.session, file, damaged, offset, Toe_Chunk_Sha256=digest(piece))
        return chunk(self.session, file, piece, offset)

    async def ask(self, sent: bytes, expected: set[int]) -> Said:
        """Repeats a request until it is answered, as it says or for good."""
        async with asyncio.timeout(100):
            while True:
                self.tries += 1
                said = Said(0)
                with suppress(OSError, ssl.SSLError, TimeoutError, asyncio.IncompleteReadError):
                    async with self._collector.wire() as wire:
                        if self._chance.random() < self._faults:
                            await wire.send(sent[: self._chance.randrange(len(sent))])
                            if self._chance.random() < 0.5:
                                await asyncio.sleep(0.01)
                        else:
                            await wire.send(sent)
                            if self._chance.random() >= self._faults / 2:  # else its answer gets lost
                                said = await wire.answer(20)
                if said.status in expected:
                    return said
                assert said.status in (0, 400, 408, 429, 503), said
                await asyncio.sleep(self._chance.uniform(0, 0.05))


def files_of(chance: random.Random) -> dict[str, bytes]:
    """Is what a tool leaves: a few files of all sizes."""
    sizes = (0, 1, 100, KIB, 64 * KIB, 200 * KIB)
    return {
        f"out/{n} {chance.random()}.bin": chance.randbytes(chance.choice(sizes)) for n in range(chance.randint(1, 2))
    }


async def bring_all(
    collector: Collector, chance: random.Random, uploads: int, *, faults: float = 0.1, at_once: int = 12
) -> dict[str, bytes]:
    """Has so many supervisors bring their files; returns what must be kept, by its keys."""
    wanted: dict[str, bytes] = {}
    places = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        mine = random.Random(chance.random())
        files = files_of(mine)
        async with places:
            supervisor = Supervisor(collector, mine, faults=faults)
            keys = await supervisor.run(collector.tickets.sign(pod=f"pod-{number}"), files)
        for name, key in keys.items():
            assert key not in wanted
            wanted[key] = files[name]

    async with asyncio.TaskGroup() as group:
        for number in range(uploads):
            group.create_task(one(number))
    return wanted


async def kill_often(collector: Collector, chance: random.Random, most: int) -> None:
    """Kills the collector again and again, and starts it again."""
    for _ in range(most):
        await asyncio.sleep(chance.uniform(0.1, 1.0))
        await collector.kill()
        await collector.start()


def nothing_else(collector: Collector, wanted: dict[str, bytes]) -> None:
    """Asserts that exactly what is wanted is kept, everything else is gone, and nothing is outside."""
    kept = collector.kept()
    assert kept.keys() == wanted.keys(), (len(kept), len(wanted))
    assert kept == wanted
    assert collector.orphans() == []
    assert collector.partials() == []
    known = {"store", "scratch", "keys", "log", "kubeconfig", "tls.crt", "tls.key"}
    assert {path.name for path in collector.place.iterdir()} <= known
    temporary = [path for path in (collector.store / ".partial").rglob("*") if path.is_file()]
    assert temporary == []


async def test_killed_at_random_bytes_everything_is_kept_once(tmp_path: Path) -> None:
    """100 pods, each with a few files: 0 lost, 0 doubled, 0 altered, 0 outside, 0 left behind."""
    seed = int(os.urandom(4).hex(), 16)
    print(f"seed {seed}")
    chance = random.Random(seed)
    async with collecting(tmp_path, "--low-water", "1Mi") as (collector, _):
        killing = asyncio.create_task(kill_often(collector, chance, KILLS))
        wanted = await bring_all(collector, chance, UPLOADS)
        await killing
        nothing_else(collector, wanted)


async def test_what_a_killed_collector_had_taken_it_goes_on_with(tmp_path: Path) -> None:
    """A chunk that was answered need not be sent again, and the session is still the same."""
    async with collecting(tmp_path, "--low-water", "1Mi") as (collector, _):
        session = await collector.claim()
        file = await collector.open(session)
        content = os.urandom(300 * KIB)
        assert (await collector.put(session, file, content[: 200 * KIB])).status == 200
        await collector.kill()
        await collector.start()
        said = await collector.ask(request("POST", "/v1/files", session, as_json({"name": "out.txt"})))
        assert (said.status, said.json) == (200, {"file": file, "offset": 200 * KIB})
        assert (await collector.put(session, file, content[200 * KIB :], 200 * KIB)).status == 200
        await collector.kill()
        await collector.start()
        assert (await collector.commit(session, file, content)).status == 201
        await collector.kill()
        await collector.start()
        assert (await collector.commit(session, file, content)).status == 200
        assert (await collector.ask(request("POST", "/v1/complete", session))).json == {
            "files": 1,
            "bytes": len(content),
        }
        nothing_else(collector, dict.fromkeys(collector.kept(), content))


async def test_leftovers_go_when_a_session_is_over(tmp_path: Path) -> None:
    """At the start: of tickets that have expired, of sessions that are complete, and of nobody."""
    async with collecting(tmp_path, "--low-water", "1Mi") as (collector, _):
        short = await collector.claim(collector.tickets.sign(expires=int(time.time()) + 2))
        assert (await collector.put(short, await collector.open(short), b"abandoned")).status == 200
        assert collector.partials()
        await collector.kill()
        stray = collector.scratch / "partial" / ("0" * 64)
        stray.mkdir()
        (stray / f"{'0' * 32}.part").write_bytes(b"nobody's")
        await asyncio.sleep(2.1)
        await collector.start()
        for _ in range(100):
            if not collector.partials():
                return
            await asyncio.sleep(0.05)
        raise AssertionError(collector.partials())


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """Is a file system of this size; only root can make one."""
    if os.geteuid() != 0:
        pytest.skip("a file system needs root")
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no file system can be made here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@asynccontextmanager
async def collecting_in(place: Path, *flags: str) -> AsyncIterator[Collector]:
    async with collecting(place, *flags) as (collector, _):
        yield collector


async def test_a_disk_that_fills_up_keeps_its_reserve_and_what_is_there(tmp_path: Path) -> None:
    """507 below the low-water mark, nothing that was kept is lost, and when there is room again it goes on."""
    with small_disk(tmp_path / "disk", "8m") as disk:
        async with collecting_in(disk, "--low-water", "2Mi") as collector:
            content = os.urandom(512 * KIB)
            session = await collector.claim()
            said = [await collector.upload(session, content, f"{number}") for number in range(16)]
            statuses = [one.status for one in said]
            assert set(statuses) == {201, 507}, statuses
            assert {one.reason for one in said if one.status == 507} == {"StoreFull"}
            assert statuses.count(201) >= 8
            room = os.statvfs(disk)
            assert (
                room.f_bavail * room.f_frsize >= 2 * KIB * KIB - 256 * KIB
            )  # records are small, and not bytes of files
            kept = collector.kept()
            assert len(kept) == statuses.count(201)
            assert (await collector.ask(request("POST", "/v1/complete", session))).status == 200
            assert collector.partials() == []
            for key in list(kept)[:6]:
                (collector.store / key).unlink()
                (collector.store / f"{key}.toe.json").unlink()
            other = await collector.claim()
            assert (await collector.upload(other, content)).status == 201


async def test_many_at_once_leave_the_reserve_alone(tmp_path: Path) -> None:
    """Each is judged with what the others have announced: together they cannot pass what one of them cannot."""
    with small_disk(tmp_path / "disk", "24m") as disk:
        async with collecting_in(disk, "--low-water", "12Mi") as collector:
            content = os.urandom(KIB * KIB)
            sessions = [await collector.claim() for _ in range(40)]
            files = [await collector.open(session) for session in sessions]
            least = [1 << 40]

            async def watch() -> None:
                while True:
                    room = os.statvfs(disk)
                    least[0] = min(least[0], room.f_bavail * room.f_frsize)
                    await asyncio.sleep(0)

            watching = asyncio.create_task(watch())
            said = await asyncio.gather(*(collector.put(s, f, content) for s, f in zip(sessions, files, strict=True)))
            watching.cancel()
            statuses = [one.status for one in said]
            assert set(statuses) == {200, 507}, statuses
            assert least[0] >= 12 * KIB * KIB, (least[0], statuses.count(200))
            assert statuses.count(200) >= 8


async def test_a_disk_that_is_full_without_a_reserve_is_told_and_survived(tmp_path: Path) -> None:
    """The write fails in the middle of a chunk: 507, nothing of it counts, and the collector goes on."""
    with small_disk(tmp_path / "disk", "4m") as disk:
        async with collecting_in(disk, "--low-water", "0") as collector:
            (disk / "store" / "filler").write_bytes(b"x" * (2 * KIB * KIB))
            session = await collector.claim()
            content = os.urandom(KIB * KIB)
            statuses = [(await collector.upload(session, content, f"{number}")).status for number in range(4)]
            assert set(statuses) == {201, 507}, statuses
            (disk / "store" / "filler").unlink()
            assert (await collector.upload(session, content, "at last")).status == 201
            assert (await collector.ask(request("POST", "/v1/complete", session))).status == 200
            assert collector.partials() == []
            assert collector.orphans() == []
            assert len(collector.kept()) == statuses.count(201) + 1


@pytest.mark.parametrize("is_torn", [False, True])
@pytest.mark.parametrize("is_known", [False, True])
async def test_a_crash_between_content_and_record_is_mended(tmp_path: Path, is_torn: bool, is_known: bool) -> None:
    """What has no record does not exist: it is compared, and gets its record or is begun anew, also elsewhere."""
    async with collecting(tmp_path, "--low-water", "1Mi") as (collector, _):
        session, content = await collector.claim(), os.urandom(10 * KIB)
        file = await collector.open(session)
        assert (await collector.put(session, file, content)).status == 200
        notes = {path: path.read_bytes() for path in collector.partials() if path.suffix != ".part"}
        key = (await collector.commit(session, file, content)).json["key"]
        await collector.kill()
        (collector.store / f"{key}.toe.json").unlink()  # as if it had been killed one step before
        if is_torn:
            (collector.store / key).write_bytes(b"torn")
        if is_known:
            for path, note in notes.items():
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(note)
        await collector.start()
        assert key not in collector.kept()
        said = await collector.commit(session, file, content)
        if said.status == 404:
            assert not is_known
            assert await collector.open(session) == file
            said = await collector.commit(session, file, content)
        if is_torn:
            assert (said.status, said.reason) == (422, "FileDamaged")
            said = await collector.upload(session, content)
        assert said.status == 201
        assert (await collector.ask(request("POST", "/v1/complete", session))).status == 200
        nothing_else(collector, {key: content})


async def test_keys_are_exchanged_with_overlap(tmp_path: Path) -> None:
    """Both are good while both are there, one that is gone is good no more, and without any it is not ready."""
    async with collecting(tmp_path, "--low-water", "1Mi") as (collector, _):
        old = collector.tickets
        new = Tickets(collector.keys)
        running = await collector.claim(old.sign())
        await collector.claim(new.sign(pod="new-1"))
        old.file.unlink()
        said = await collector.ask(request("POST", "/v1/claim", old.sign(), as_json({"session": a_session()})))
        assert (said.status, said.reason) == (401, "BadTicket")
        assert (await collector.upload(running, b"its session goes on")).status == 201
        new.file.write_text("no key")
        assert "key" in await collector.ready(503)
        said = await collector.ask(request("POST", "/v1/claim", new.sign(), as_json({"session": a_session()})))
        assert (said.status, said.reason) == (503, "NotReady")
        assert "key" in json.loads(said.body)["message"]
        fresh = Tickets(collector.keys)
        await collector.ready(200)
        await collector.claim(fresh.sign(pod="new-2"))


async def test_nobody_is_claimed_or_kept_while_the_cluster_is_not_known(tmp_path: Path) -> None:
    """Started without an API server: 503 for a claim and for a lease; toe-run ends its tool by itself then."""
    async with ToyApi() as api:
        api.is_away = True
        collector = Collector(tmp_path, api.kubeconfig(tmp_path), "--low-water", "1Mi")
        starting = asyncio.create_task(collector.start())
        try:
            async with asyncio.timeout(20):
                while True:
                    with suppress(OSError):
                        said = await collector.ask(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
                        if said.status == 200:
                            break
                    await asyncio.sleep(0.05)
            said = await collector.ask(
                request("POST", "/v1/claim", collector.tickets.sign(RUN), as_json({"session": a_session()}))
            )
            assert (said.status, said.reason) == (503, "NotReady")
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            assert await collector.stop() == 0
