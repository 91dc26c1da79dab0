"""What a session may do: bring files in chunks, have them kept, and end."""

import asyncio
import errno
import hashlib
import json
import os
import random
import secrets
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.builders import a_powertool
from tests.collector.uploading import (
    KEY,
    KEY_ID,
    RUN,
    Collector,
    Supervisor,
    ToyRuns,
    a_client,
    a_place,
    collecting,
    files,
    supervising,
)
from toe.api.powertool import Requester
from toe.api.ticket import sign
from toe.collector import uploads as module
from toe.collector.room import Quotas
from toe.collector.uploads import Terms
from toe.errors import StoreError
from toe.store.directory import DirectoryStore

CONTENT = bytes(range(256)) * 1000


async def _begun(supervisor: Supervisor, content: bytes = CONTENT[:1000], name: str = "a") -> str:
    """Returns the id of a file of which some came."""
    _, found = await supervisor.open(name)
    assert (await supervisor.put(found["file"], 0, content))[0] == 200
    return str(found["file"])


async def test_a_file_comes_in_chunks_and_is_kept_with_its_record(tmp_path: Path) -> None:
    """Placement from the ticket, the name from the tool, the requester from the run."""
    place, runs = a_place(tmp_path), ToyRuns()
    spec = msgspec.structs.replace(RUN.spec, requester=Requester(username="alice"))
    runs.run = msgspec.structs.replace(RUN, spec=spec)
    async with collecting(place, runs=runs) as collector, supervising(collector) as supervisor:
        status, found = await supervisor.upload("cpu/flame.svg", CONTENT)
        assert (status, found["key"].rpartition("/")[2]) == (201, "cpu%2Fflame.svg")
        assert await supervisor.upload("cpu/flame.svg", CONTENT) == (200, found)
        assert await supervisor.complete() == (200, {"files": 1, "bytes": len(CONTENT)})
        assert place.kept() == {found["key"]: CONTENT}
        assert place.partials() == []
        record = json.loads((place.store / (found["key"] + ".toe.json")).read_bytes())
        assert (record["name"], record["requester"], record["encoding"]) == ("cpu/flame.svg", "alice", "")
        assert (record["podUid"], record["target"]) == (supervisor.ticket.pod_uid, supervisor.ticket.target)
        kept_at, until = (datetime.fromisoformat(record[field]) for field in ("keptAt", "keepUntil"))
        assert (until - kept_at).days == 7


@pytest.mark.parametrize(("asked", "most", "days"), [(None, 7, 7), (3, 7, 3), (30, 7, 7), (None, 40, 40)])
async def test_a_file_is_kept_as_long_as_the_run_says_and_the_administrator_permits(
    tmp_path: Path, asked: int | None, most: int, days: int
) -> None:
    """At most the administrator's own days."""
    place, terms = a_place(tmp_path), Terms(retention_days=most)
    async with (
        collecting(place, terms=terms) as collector,
        supervising(collector, retention_days=asked) as supervisor,
    ):
        _, found = await supervisor.upload("a", b"x")
        record = json.loads((place.store / (found["key"] + ".toe.json")).read_bytes())
        kept_at, until = (datetime.fromisoformat(record[field]) for field in ("keptAt", "keepUntil"))
        assert (until - kept_at).days == days


async def test_what_was_compressed_says_so(tmp_path: Path) -> None:
    """Where the run asked for it: a name alone means nothing."""
    place, runs = a_place(tmp_path), ToyRuns()
    async with collecting(place, runs=runs) as collector, supervising(collector) as supervisor:
        await supervisor.upload("plain.zst", b"x")
        runs.run = a_powertool(output={"mode": "collector", "compress": "zstd"})
        await supervisor.upload("small.zst", b"x")
        encodings = {json.loads(path.read_bytes())["name"]: path for path in place.store.rglob("*.toe.json")}
        assert [json.loads(encodings[name].read_bytes())["encoding"] for name in ("plain.zst", "small.zst")] == [
            "",
            "zstd",
        ]


async def test_an_empty_file_is_kept_too(tmp_path: Path) -> None:
    """A tool that found nothing says so."""
    place = a_place(tmp_path)
    async with collecting(place) as collector, supervising(collector) as supervisor:
        assert (await supervisor.upload("empty", b""))[0] == 201
        assert list(place.kept().values()) == [b""]


async def test_a_chunk_counts_whole_or_not_at_all(tmp_path: Path) -> None:
    """Damaged, out of order, or sent twice: the file goes on where it was."""
    async with collecting(a_place(tmp_path)) as collector, supervising(collector) as supervisor:
        file = await _begun(supervisor)
        status, found = await supervisor.put(file, 1000, CONTENT[1000:2000], "0" * 64)
        assert (status, found["reason"]) == (422, "ChunkDamaged")
        for offset in (0, 999, 1001, 2000):
            status, found = await supervisor.put(file, offset, b"x" * 1000)
            assert (status, found["reason"], found["offset"]) == (409, "WrongOffset", 1000)
        assert await supervisor.put(file, 1000, CONTENT[1000:]) == (200, {"offset": len(CONTENT)})
        assert (await supervisor.commit(file, CONTENT))[0] == 201


async def test_a_chunk_that_does_not_count_takes_no_room(tmp_path: Path) -> None:
    """Its bytes are gone at once, not only when the next one comes."""
    place = a_place(tmp_path)
    async with collecting(place) as collector, supervising(collector) as supervisor:
        file = await _begun(supervisor)
        assert (await supervisor.put(file, 1000, CONTENT, "0" * 64))[0] == 422
        (part,) = (path for path in files(place.scratch) if path.suffix == ".part")
        assert part.stat().st_size == 1000
        assert collector.room.total == 1000


async def test_a_file_that_is_not_what_was_announced_begins_anew(tmp_path: Path) -> None:
    """And comes well the second time."""
    place = a_place(tmp_path)
    async with collecting(place) as collector, supervising(collector) as supervisor:
        file = await _begun(supervisor)
        for content in (CONTENT[:999], b"x" * 1000):
            status, found = await supervisor.commit(file, content)
            assert (status, found["reason"]) == (422, "FileDamaged")
            assert (await supervisor.open("a"))[1]["offset"] == 0
            await supervisor.put(file, 0, CONTENT[:1000])
        assert (await supervisor.commit(file, CONTENT[:1000]))[0] == 201
        assert list(place.kept().values()) == [CONTENT[:1000]]


async def test_a_name_may_begin_anew_until_it_is_kept(tmp_path: Path) -> None:
    """A tool wrote it again."""
    async with collecting(a_place(tmp_path)) as collector, supervising(collector) as supervisor:
        file = await _begun(supervisor)
        assert await supervisor.open("a", restart=True) == (200, {"file": file, "offset": 0})
        assert collector.room.total == 0
        await supervisor.upload("a", b"new")
        assert (await supervisor.open("a", restart=True))[1]["reason"] == "AlreadyComplete"
        assert (await supervisor.put(file, 3, b"x"))[1]["reason"] == "AlreadyComplete"
        assert (await supervisor.commit(file, b"other"))[1]["reason"] == "AlreadyComplete"


async def test_nothing_comes_after_the_end(tmp_path: Path) -> None:
    """What was not whole is gone; the end can be said again."""
    place = a_place(tmp_path)
    async with collecting(place) as collector, supervising(collector) as supervisor:
        await supervisor.upload("kept", b"k")
        file = await _begun(supervisor)
        for _ in range(2):
            assert await supervisor.complete() == (200, {"files": 1, "bytes": 1})
        assert place.partials() == []
        assert (await supervisor.open("b"))[1]["reason"] == "AlreadyComplete"
        assert (await supervisor.put(file, 1000, b"x"))[1]["reason"] in ("NoSuchFile", "AlreadyComplete")
        assert (await supervisor.commit(file, CONTENT[:1000]))[1]["reason"] in ("NoSuchFile", "AlreadyComplete")


async def test_a_ticket_brings_no_more_than_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes of all its files together, also at once; and files."""
    async with collecting(a_place(tmp_path)) as collector, supervising(collector, max_bytes=1500) as supervisor:
        ids = [(await supervisor.open(name))[1]["file"] for name in "abc"]
        answers = await asyncio.gather(*(supervisor.put(file, 0, b"x" * 1000) for file in ids))
        assert sorted(status for status, _ in answers) == [200, 413, 413]
        assert {answer["reason"] for status, answer in answers if status == 413} == {"TooLarge"}
        monkeypatch.setattr("toe.policy.checks.within_limit.MOST_FILES", 4)
        assert (await supervisor.open("d"))[0] == 201
        assert (await supervisor.open("e"))[1]["reason"] == "TooLarge"
        assert (await supervisor.open("d"))[0] == 200


async def test_a_namespace_and_all_of_them_have_quotas(tmp_path: Path) -> None:
    """Of what is kept and what is coming; what came before stays."""
    place = a_place(tmp_path)
    for quotas in (Quotas(namespace=1500), Quotas(total=1500)):
        async with collecting(place, quotas=quotas) as collector, supervising(collector) as supervisor:
            file = await _begun(supervisor)
            status, found = await supervisor.put(file, 1000, b"x" * 501)
            assert (status, found["reason"]) == (507, "QuotaExceeded")
            assert (await supervisor.put(file, 1000, b"x" * 400))[0] == 200
            await supervisor.complete()


async def test_room_stays_free_whatever_comes(tmp_path: Path) -> None:
    """The low-water mark; it is told before the body is read."""
    async with (
        collecting(a_place(tmp_path), quotas=Quotas(low_water=1 << 60)) as collector,
        supervising(collector) as supervisor,
    ):
        _, found = await supervisor.open("a")
        status, answer = await supervisor.put(found["file"], 0, b"x")
        assert (status, answer["reason"]) == (507, "StoreFull")


async def test_a_full_disk_loses_nothing_that_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is full: where files come, or where they are kept."""
    place = a_place(tmp_path)
    async with collecting(place) as collector, supervising(collector) as supervisor:
        file = await _begun(supervisor)
        full = OSError(errno.ENOSPC, "no space")

        def fails(*_: object) -> None:
            raise full

        with monkeypatch.context() as patched:
            patched.setattr(module, "write_at", fails)
            status, found = await supervisor.put(file, 1000, b"x")
            assert (status, found["reason"]) == (507, "StoreFull")

        async def keeps_not(*_: object) -> None:
            raise StoreError("full") from full

        with monkeypatch.context() as patched:
            patched.setattr(DirectoryStore, "create", keeps_not)
            status, found = await supervisor.commit(file, CONTENT[:1000])
            assert (status, found["reason"]) == (507, "StoreFull")
        assert (await supervisor.commit(file, CONTENT[:1000]))[0] == 201
        assert list(place.kept().values()) == [CONTENT[:1000]]


async def test_what_is_kept_of_a_run_that_is_deleted_before_its_record_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content had its last name already; nothing of it stays."""
    place, runs, create = a_place(tmp_path), ToyRuns(), DirectoryStore.create

    async def deletes(store: DirectoryStore, key: str, content: bytes | Path) -> None:
        await create(store, key, content)
        if isinstance(content, Path):
            runs.run = None

    monkeypatch.setattr(DirectoryStore, "create", deletes)
    async with collecting(place, runs=runs) as collector, supervising(collector) as supervisor:
        status, found = await supervisor.commit(await _begun(supervisor), CONTENT[:1000])
        assert (status, found["reason"]) == (403, "RunOver")
        assert place.kept() == {}
        assert collector.room.total == 0


async def test_what_comes_of_a_run_that_is_deleted_meanwhile_is_discarded(tmp_path: Path) -> None:
    """Before a chunk counts, and before a file is kept."""
    place, runs = a_place(tmp_path), ToyRuns()
    async with collecting(place, runs=runs) as collector, supervising(collector) as supervisor:
        file = await _begun(supervisor)
        with_run, sync = runs.run, collector.uploads._partials.sync

        def deleted(*arguments: Any) -> None:
            runs.run = None
            sync(*arguments)

        collector.uploads._partials.sync = deleted  # type: ignore[method-assign]
        status, found = await supervisor.commit(file, CONTENT[:1000])
        assert (status, found["reason"]) == (403, "RunOver")
        runs.run = with_run
        assert (await supervisor.open("a"))[1]["offset"] == 0
        assert place.kept() == {}
        assert collector.room.total == 0


@pytest.mark.parametrize("where", ["content", "record", "copied"])
async def test_a_commit_that_was_cut_in_the_middle_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """By another process: after the content, after the record, and where the content is a copy."""
    place = a_place(tmp_path)
    async with a_client() as http:
        async with collecting(place) as collector:
            supervisor = Supervisor(http, collector.url)
            await supervisor.claim()
            file = await _begun(supervisor)
            create = DirectoryStore.create

            async def dies(store: DirectoryStore, key: str, content: bytes | Path) -> None:
                if where == "copied" and isinstance(content, Path):
                    content = await asyncio.to_thread(content.read_bytes)
                if where != "record" and key.endswith(".toe.json"):
                    raise StoreError("killed")
                await create(store, key, content)
                if where == "record" and key.endswith(".toe.json"):
                    raise StoreError("killed")

            with monkeypatch.context() as patched:
                patched.setattr(DirectoryStore, "create", dies)
                assert (await supervisor.commit(file, CONTENT[:1000]))[0] == 503
        async with collecting(place) as collector:
            supervisor.url = collector.url
            status, found = await supervisor.commit(file, CONTENT[:1000])
            assert status in (200, 201), found
            assert list(place.kept().values()) == [CONTENT[:1000]]
            assert (await supervisor.complete())[1] == {"files": 1, "bytes": 1000}
            assert place.partials() == []
            await collector.room.survey()


async def test_content_without_a_record_that_is_another_is_replaced(tmp_path: Path) -> None:
    """It never existed; the file that was announced is the one that is kept."""
    place = a_place(tmp_path)
    async with collecting(place) as collector, supervising(collector) as supervisor:
        await supervisor.upload("other", b"o")
        (other,) = place.store.rglob("other")
        other.with_name("a").write_bytes(b"left behind")
        _, found = await supervisor.open("a")
        assert found["offset"] == 11
        assert (await supervisor.commit(found["file"], b"new"))[1]["reason"] == "FileDamaged"
        assert (await supervisor.upload("a", b"new"))[0] == 201
        other.with_name("b").write_bytes(b"left behind")
        assert (await supervisor.open("b", restart=True))[1]["offset"] == 0
        assert (await supervisor.upload("b", b"newer"))[0] == 201
        assert sorted(place.kept().values()) == [b"new", b"newer", b"o"]


async def test_a_partial_file_that_is_damaged_begins_anew(tmp_path: Path) -> None:
    """A disk that lost what it had said to have: the sum over the whole shows it."""
    place = a_place(tmp_path)
    async with a_client() as http:
        async with collecting(place) as collector:
            supervisor = Supervisor(http, collector.url)
            await supervisor.claim()
            file = await _begun(supervisor)
        (part,) = place.scratch.rglob("*.part")
        part.write_bytes(bytes(1000))
        async with collecting(place) as collector:
            supervisor.url = collector.url
            assert (await supervisor.commit(file, CONTENT[:1000]))[1]["reason"] == "FileDamaged"
            assert (await supervisor.upload("a", CONTENT[:1000]))[0] == 201
            assert list(place.kept().values()) == [CONTENT[:1000]]


async def test_who_sends_again_does_not_wait_for_the_connection_before(tmp_path: Path) -> None:
    """It may hang for long before anybody knows that it is dead."""
    async with collecting(a_place(tmp_path)) as collector, supervising(collector) as supervisor:
        _, found = await supervisor.open("a")
        path, digest = f"/v1/files/{found['file']}?offset=0", hashlib.sha256(b"x" * 10).hexdigest()

        async def hangs() -> Any:
            yield b"x"
            await asyncio.sleep(30)

        headers = {"Authorization": f"Bearer {supervisor.session}", "Toe-Chunk-Sha256": digest, "Content-Length": "10"}
        old = asyncio.create_task(_status(supervisor, collector, path, hangs(), headers))
        await asyncio.sleep(0.3)
        async with asyncio.timeout(3):
            assert (await supervisor.put(found["file"], 0, b"x" * 10))[0] == 200
            assert await old in (0, 408)


async def _status(supervisor: Supervisor, collector: Collector, path: str, body: Any, headers: dict[str, str]) -> int:
    try:
        async with supervisor._http.put(collector.url + path, data=body, headers=headers) as found:
            return found.status
    except OSError:
        return 0


async def test_many_at_once_are_all_whole(tmp_path: Path) -> None:
    """Files of one session and of many, in chunks of any size, some of them twice and out of order."""
    place, chance = a_place(tmp_path), random.Random(7)
    async with collecting(place) as collector, a_client() as http:

        async def bring(supervisor: Supervisor, name: str) -> None:
            content = secrets.token_bytes(chance.randint(1, 300_000))
            _, found = await supervisor.open(name)
            at = 0
            while at < len(content):
                chunk = content[at : at + chance.randint(1, 100_000)]
                if chance.random() < 0.3:
                    await supervisor.put(found["file"], at + len(chunk), b"early")
                status, answer = await supervisor.put(found["file"], at, chunk)
                assert status == 200, answer
                if chance.random() < 0.3:
                    assert (await supervisor.put(found["file"], at, chunk))[1]["offset"] == at + len(chunk)
                at += len(chunk)
            expected.append(content)
            answers = await asyncio.gather(*(supervisor.commit(found["file"], content) for _ in range(3)))
            assert sorted(status for status, _ in answers) == [200, 200, 201]

        expected: list[bytes] = []
        supervisors = [Supervisor(http, collector.url) for _ in range(5)]
        for number, supervisor in enumerate(supervisors):
            supervisor.ticket = msgspec.structs.replace(supervisor.ticket, pod=f"pod-{number}")
            supervisor.text = sign(supervisor.ticket, KEY, KEY_ID)
            assert (await supervisor.claim())[0] == 201
        await asyncio.gather(*(bring(supervisor, name) for supervisor in supervisors for name in "abcd"))
        for supervisor in supervisors:
            assert (await supervisor.complete())[1]["files"] == 4
        assert sorted(place.kept().values()) == sorted(expected)
        assert place.partials() == []
        assert os.listdir(place.scratch / "partial") == []
