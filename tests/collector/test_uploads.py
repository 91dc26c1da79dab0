"""What a session may do: bring files in chunks, have them kept, and end."""

from pathlib import Path

from tests.collector.uploading import a_place, collecting, supervising


async def test_a_file_comes_in_chunks_and_is_kept_with_its_record(tmp_path: Path) -> None:
    """Placement from the ticket, the name from the tool."""
    place, content = a_place(tmp_path), bytes(range(256)) * 1000
    async with collecting(place) as collector, supervising(collector) as supervisor:
        status, found = await supervisor.upload("cpu/flame.svg", content)
        assert (status, found["key"].rpartition("/")[2]) == (201, "cpu%2Fflame.svg")
        assert await supervisor.upload("cpu/flame.svg", content) == (200, found)
        assert await supervisor.complete() == (200, {"files": 1, "bytes": len(content)})
        assert place.kept() == {found["key"]: content}
        assert place.partials() == []
        assert collector.room.total == len(place.kept()[found["key"]])
