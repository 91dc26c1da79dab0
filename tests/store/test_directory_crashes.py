"""A directory whose writers are killed, whose disk is full, and into which somebody plants links all the time."""

import asyncio
import hashlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.store.test_directory import below
from tests.store.test_port_of_all import content_of, keys_of
from toe.errors import MissingError, StoreError
from toe.store.directory import DirectoryStore

WRITER = Path(__file__).with_name("writer.py")
KILLS = 20


def write_until_killed(root: Path, spool: Path, number: int, seconds: float) -> list[str]:
    """Returns the keys that were acknowledged before the SIGKILL."""
    writer = subprocess.Popen(
        [sys.executable, WRITER, root, spool, str(number)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    first = writer.stdout.readline()
    time.sleep(seconds)
    writer.kill()
    rest, errors = writer.communicate()
    assert first, errors
    # The last line may have been cut by the kill.
    return (first + rest).rpartition("\n")[0].splitlines()


def files_below(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


async def keep_until_refused(store: DirectoryStore, content: bytes) -> list[str]:
    kept: list[str] = []
    with pytest.raises(StoreError, match="No space left"):  # noqa: PT012 -- which one fails is not known before
        while True:
            key = f"a/{len(kept)}/x"
            await store.create(key, content)
            kept.append(key)
    return kept


@pytest.mark.timeout(300)
async def test_a_writer_may_be_killed_at_any_moment(tmp_path: Path) -> None:
    """What is there is whole, what was acknowledged is there, and the next start leaves nothing half."""
    root, spool = tmp_path / "root", tmp_path / "spool"
    spool.mkdir()
    numbers = random.Random(5)
    left = 0
    for number in range(KILLS):
        told = await asyncio.to_thread(write_until_killed, root, spool, number, numbers.uniform(0, 0.25))
        left += len(os.listdir(root / ".partial"))
        store = DirectoryStore(root)
        assert os.listdir(root / ".partial") == []
        kept = await keys_of(store)
        assert set(told) <= set(kept)
        for key in kept:
            if key.startswith(f"n/r{number}/"):
                assert hashlib.sha256(await content_of(store, key)).hexdigest() == key.rpartition("/")[2]
        assert len(files_below(root)) == len(kept)
        store.close()
    assert left, "no kill came at a moment that matters: the test has lost its sense"


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB and 100 files."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    volume = tmp_path / "volume"
    volume.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,nr_inodes=100", "toe-test", volume], check=False)
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    yield volume
    subprocess.run(["umount", "--lazy", volume], check=True)


async def test_a_full_volume_keeps_what_it_has(small_volume: Path, tmp_path: Path) -> None:
    """The one that does not fit is refused and leaves nothing; earlier ones are whole; after a deletion it goes on."""
    store = DirectoryStore(small_volume)
    content = os.urandom(1024 * 1024)
    kept = await keep_until_refused(store, content)
    elsewhere = tmp_path / "finished"
    elsewhere.write_bytes(content * 2)
    with pytest.raises(StoreError, match="No space left"):
        await store.create("a/file", elsewhere)

    assert len(kept) >= 6
    assert elsewhere.exists()
    assert os.listdir(small_volume / ".partial") == []
    assert await keys_of(store) == sorted(kept)
    assert [await content_of(store, key) for key in kept] == [content] * len(kept)
    free = await store.free()
    assert free is not None
    assert free < len(content)
    await store.delete(kept[0])
    await store.create("b", content)
    store.close()


async def test_a_volume_without_inodes_has_no_room(small_volume: Path) -> None:
    """However many bytes are free."""
    store = DirectoryStore(small_volume)
    kept = await keep_until_refused(store, b"")

    assert await store.free() == 0
    for key in kept[:10]:
        await store.delete(key)
    assert await store.free() != 0
    assert os.listdir(small_volume / ".partial") == []
    store.close()


async def test_a_read_only_volume_is_told(small_volume: Path) -> None:
    """By every writer; readers go on."""
    store = DirectoryStore(small_volume)
    await store.create("a/b", b"x")
    await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,ro", small_volume], check=True)

    with pytest.raises(StoreError, match="Read-only"):
        await store.create("a/c", b"x")
    with pytest.raises(StoreError, match="Read-only"):
        await store.delete("a/b")
    assert await content_of(store, "a/b") == b"x"
    store.close()


@pytest.mark.parametrize("depth", [1, 2, 3])
async def test_links_that_come_and_go_lead_nowhere(tmp_path: Path, depth: int) -> None:
    """Somebody exchanges a directory for a link to his own all the time: nothing is read or written there."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    names = ("a", "b", "c")
    at, to = root.joinpath(*names[:depth]), outside.joinpath(*names[:depth])
    (outside / "a/b/c").mkdir(parents=True)
    (outside / "a/b/c/secret").write_text("secret")
    before = below(outside)
    store = DirectoryStore(root)
    await store.create("a/stays", b"")
    stop = threading.Event()
    swaps = 0

    def plant() -> None:
        nonlocal swaps
        while not stop.is_set():
            with suppress(OSError):
                at.symlink_to(to)
                swaps += 1
            with suppress(OSError):
                at.rename(tmp_path / f"removed-{swaps}-{time.monotonic_ns()}")

    planter = threading.Thread(target=plant)
    planter.start()
    kept = 0
    try:
        for number in range(300):
            with suppress(StoreError):
                await store.create(f"a/b/c/{number}", b"x")
                kept += 1
            with pytest.raises(MissingError):
                await content_of(store, "a/b/c/secret")
            await store.delete("a/b/c/secret")
            assert "a/b/c/secret" not in await keys_of(store)
    finally:
        stop.set()
        planter.join()
        store.close()

    assert swaps > 50
    assert kept > 5
    assert below(outside) == before
    assert (outside / "a/b/c/secret").read_text() == "secret"
