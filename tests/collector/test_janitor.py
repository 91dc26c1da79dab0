"""What belongs to sessions that have ended is removed."""

from datetime import timedelta
from pathlib import Path

from tests.collector.uploading import NOW, Supervisor, ToyRuns, a_client, a_place, collecting, files, supervising


async def test_partial_files_of_expired_sessions_go(tmp_path: Path) -> None:
    """While it runs, and also while the cluster is not known; what is kept stays."""
    place, runs = a_place(tmp_path), ToyRuns()
    async with collecting(place, runs=runs) as collector, supervising(collector) as supervisor:
        await supervisor.upload("kept", b"k")
        _, found = await supervisor.open("partial")
        await supervisor.put(found["file"], 0, b"p" * 500)
        assert await collector.janitor.sweep() == 0
        collector.clock.append(NOW + timedelta(hours=1))
        runs.live = False
        assert await collector.janitor.sweep() == 1
        runs.live = True
        assert place.partials() == []
        assert list(place.kept().values()) == [b"k"]
        assert (await supervisor.put(found["file"], 500, b"p"))[0] in (403, 404)
        assert collector.room.used("production") < 500


async def test_partial_files_of_runs_that_are_gone_go(tmp_path: Path) -> None:
    """Not while nobody knows whether they are."""
    place, runs = a_place(tmp_path), ToyRuns()
    async with collecting(place, runs=runs) as collector, supervising(collector) as supervisor:
        _, found = await supervisor.open("partial")
        await supervisor.put(found["file"], 0, b"p" * 500)
        runs.run, runs.live = None, False
        assert await collector.janitor.sweep() == 0
        runs.live = True
        assert await collector.janitor.sweep() == 1
        assert place.partials() == []


async def test_partial_files_go_at_the_start_too(tmp_path: Path) -> None:
    """Of expired sessions, and of those that nobody claimed; others go on."""
    place = a_place(tmp_path)
    async with a_client() as http:
        async with collecting(place) as collector:
            supervisor = Supervisor(http, collector.url)
            await supervisor.claim()
            _, found = await supervisor.open("partial")
            await supervisor.put(found["file"], 0, b"p" * 500)
        for stray in ("lost+found", "f" * 64):
            (place.scratch / "partial" / stray).mkdir()
            (place.scratch / "partial" / stray / "x.part").write_text("x")
        async with collecting(place):
            assert len(place.partials()) == 3
        async with collecting(place, clock=[NOW + timedelta(hours=1)]):
            assert place.partials() == []


async def test_content_without_a_record_goes_with_its_session(tmp_path: Path) -> None:
    """What has no record does not exist."""
    place = a_place(tmp_path)
    async with a_client() as http:
        async with collecting(place) as collector:
            supervisor = Supervisor(http, collector.url)
            await supervisor.claim()
            await supervisor.upload("other", b"o")
            _, found = await supervisor.open("half")
            await supervisor.put(found["file"], 0, b"h" * 500)
        (other,) = place.store.rglob("other")
        (part,) = [path for path in place.scratch.rglob("*.part") if path.stat().st_size]
        part.rename(other.with_name("half"))
        async with collecting(place, clock=[NOW + timedelta(hours=1)]):
            assert list(place.kept().values()) == [b"o"]
            assert place.partials() == []


async def test_a_claim_is_forgotten_an_hour_after_its_ticket_expired(tmp_path: Path) -> None:
    """Not before: until then it is what a second claim runs into."""
    async with collecting(a_place(tmp_path)) as collector, supervising(collector) as supervisor:
        collector.clock.append(NOW + timedelta(hours=1, minutes=59))
        assert await collector.janitor.forget() == 0
        collector.clock.append(NOW + timedelta(hours=2))
        assert await collector.janitor.forget() == 1
        assert (await supervisor.claim())[0] == 401
        assert not files(tmp_path / "store" / ".toe")


async def test_what_is_past_its_time_goes(tmp_path: Path) -> None:
    """With a receipt."""
    place = a_place(tmp_path)
    async with collecting(place) as collector, supervising(collector) as supervisor:
        await supervisor.upload("a", b"a")
        await collector.janitor.retire()
        assert len(place.kept()) == 1
        collector.clock.append(NOW + timedelta(days=8))
        await collector.janitor.retire()
        assert place.kept() == {}
        assert len(files(place.store / ".toe" / "receipts")) == 1
