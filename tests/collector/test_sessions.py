"""Sessions are made anew from the store and the partial files."""

from datetime import timedelta
from pathlib import Path

from tests.collector.uploading import NOW, Supervisor, a_client, a_place, collecting, supervising


async def test_a_session_goes_on_after_a_restart(tmp_path: Path) -> None:
    """With what is kept, what is partial, and what is only begun."""
    place = a_place(tmp_path)
    async with a_client() as http:
        async with collecting(place) as collector:
            supervisor = Supervisor(http, collector.url)
            await supervisor.claim()
            await supervisor.upload("whole", b"w" * 1000)
            _, partial = await supervisor.open("partial")
            await supervisor.put(partial["file"], 0, b"p" * 500)
            await supervisor.open("begun")
        async with collecting(place) as collector:
            supervisor.url = collector.url
            assert await supervisor.claim() == (200, (await supervisor.claim())[1])
            assert (await supervisor.open("whole"))[1]["offset"] == 1000
            assert await supervisor.open("partial") == (200, {**partial, "offset": 500})
            assert (await supervisor.open("begun"))[1]["offset"] == 0
            assert collector.room.total == 1500 + len(_record(place.store))
            assert (await supervisor.upload("partial", b"p" * 700))[0] == 201
            assert (await supervisor.complete())[1] == {"files": 2, "bytes": 1700}
            assert sorted(place.kept().values()) == [b"p" * 700, b"w" * 1000]
            assert place.partials() == []


def _record(store: Path) -> bytes:
    (record,) = store.rglob("whole.toe.json")
    return record.read_bytes()


async def test_another_replica_finds_a_session_that_it_never_heard_of(tmp_path: Path) -> None:
    """Two that share a store, each with partial files of its own."""
    one, two = a_place(tmp_path), a_place(tmp_path)._replace(scratch=tmp_path / "other")
    async with collecting(one) as first, collecting(two) as second, supervising(first) as supervisor:
        await supervisor.upload("a", b"a" * 10)
        supervisor.url = second.url
        assert (await supervisor.lease())[1] == {"state": "go"}
        assert (await supervisor.open("a"))[1]["offset"] == 10
        assert (await supervisor.upload("b", b"b" * 10))[0] == 201
        assert (await supervisor.complete())[1] == {"files": 2, "bytes": 20}
        supervisor.url = first.url
        assert sorted(one.kept().values()) == [b"a" * 10, b"b" * 10]


async def test_a_session_that_rests_is_made_anew(tmp_path: Path) -> None:
    """It takes no memory while it says nothing, and what it had brought is counted once."""
    async with collecting(a_place(tmp_path)) as collector, supervising(collector) as supervisor:
        _, found = await supervisor.open("a")
        await supervisor.put(found["file"], 0, b"a" * 10)
        assert collector.sessions.open == 1
        session = await collector.sessions.find(supervisor.session)
        assert session is not None
        session.heard_at -= 1000
        collector.sessions.rest()
        assert (collector.sessions.open, collector.room.total) == (0, 0)
        assert (await supervisor.open("a"))[1]["offset"] == 10
        assert (collector.sessions.open, collector.room.total) == (1, 10)


async def test_an_expired_session_is_not_open(tmp_path: Path) -> None:
    """It counts for no limit any more."""
    async with collecting(a_place(tmp_path)) as collector, supervising(collector):
        assert collector.sessions.open == 1
        collector.clock.append(NOW + timedelta(hours=2))
        assert collector.sessions.open == 0


async def test_a_partial_file_whose_name_was_lost_is_removed(tmp_path: Path) -> None:
    """As after the loss of power: it begins anew when its name is said again."""
    place = a_place(tmp_path)
    async with a_client() as http:
        async with collecting(place) as collector:
            supervisor = Supervisor(http, collector.url)
            await supervisor.claim()
            _, found = await supervisor.open("a")
            await supervisor.put(found["file"], 0, b"a" * 10)
        (name,) = place.scratch.rglob("*.name")
        name.write_bytes(b"\x00\xff")
        async with collecting(place) as collector:
            supervisor.url = collector.url
            assert await supervisor.open("a") == (201, {**found, "offset": 0})
            assert (await supervisor.upload("a", b"whole"))[0] == 201
            assert (await supervisor.complete())[1] == {"files": 1, "bytes": 5}
