"""The directory: nothing outside it, nothing half, and the same modes whatever the umask."""

import asyncio
import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from toe.errors import ExistsError, MissingError, SettingsError, StoreError
from toe.store import directory
from toe.store.directory import DirectoryStore

KEY = "production/slow/2026-10-24-6f1c2a9e/checkout-7d9f4/flame.svg"


def below(root: Path) -> list[Path]:
    return sorted(root.rglob("*"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def store(root: Path):
    store = DirectoryStore(root)
    yield store
    store.close()


async def content_of(store: DirectoryStore, key: str) -> bytes:
    return b"".join([piece async for piece in store.read(key)])


async def test_what_was_created_is_read(store: DirectoryStore) -> None:
    """The bytes come back."""
    await store.create(KEY, b"flame")

    assert await content_of(store, KEY) == b"flame"
    with pytest.raises(ExistsError):
        await store.create(KEY, b"other")
    await store.delete(KEY)
    with pytest.raises(MissingError):
        await content_of(store, KEY)


@pytest.mark.parametrize("umask", [0, 0o022, 0o777], ids=oct)
async def test_modes_do_not_depend_on_the_umask(root: Path, tmp_path: Path, umask: int) -> None:
    """0700 and 0600, for what is written and for what is moved here."""
    moved = tmp_path / "finished"
    moved.write_bytes(b"y")
    moved.chmod(0o666)
    before = os.umask(umask)
    try:
        store = DirectoryStore(root)
        await store.create(KEY, b"x")
        await store.create(KEY + ".2", moved)
    finally:
        os.umask(before)

    for path in (root, *below(root)):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    store.close()


async def test_a_file_of_the_same_file_system_is_moved(store: DirectoryStore, root: Path, tmp_path: Path) -> None:
    """Its inode is the same, and its old name is gone."""
    finished = tmp_path / "finished"
    finished.write_bytes(b"content")
    inode = finished.stat().st_ino

    await store.create(KEY, finished)

    assert (root / KEY).stat().st_ino == inode
    assert not finished.exists()


async def test_a_file_with_a_second_name_is_copied(store: DirectoryStore, root: Path, tmp_path: Path) -> None:
    """Who holds the other name would change what is kept."""
    finished, other = tmp_path / "finished", tmp_path / "other"
    finished.write_bytes(b"content")
    other.hardlink_to(finished)

    await store.create(KEY, finished)
    other.write_bytes(b"changed")

    assert (root / KEY).read_bytes() == b"content"
    assert not finished.exists()


async def test_a_file_of_another_file_system_is_copied(store: DirectoryStore, root: Path) -> None:
    """And is gone there."""
    if os.stat("/dev/shm").st_dev == os.stat(root).st_dev:
        pytest.skip("there is no second file system here")
    elsewhere = Path("/dev/shm") / f"toe-test-{os.getpid()}"
    elsewhere.write_bytes(b"content" * 1_000_000)

    await store.create(KEY, elsewhere)

    assert (root / KEY).read_bytes() == b"content" * 1_000_000
    assert not elsewhere.exists()


async def test_a_link_is_no_content(store: DirectoryStore, root: Path, tmp_path: Path) -> None:
    """A path that was exchanged for a link leads nowhere."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")

    with pytest.raises(StoreError):
        await store.create(KEY, tmp_path / "link")

    assert await store.stat(KEY) is None


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
async def test_a_planted_link_leads_nowhere(store: DirectoryStore, root: Path, tmp_path: Path, depth: int) -> None:
    """Wherever on the way it stands: nothing is read, written, listed or deleted through it."""
    outside = tmp_path / "outside"
    inner = Path(*KEY.split("/")[depth:])
    target = outside / inner if depth < 5 else outside
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(b"outside")
    link = root.joinpath(*KEY.split("/")[:depth])
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside)

    assert await store.stat(KEY) is None
    assert [kept async for kept in store.list("")] == []
    with pytest.raises(MissingError):
        await content_of(store, KEY)
    await store.delete(KEY)
    with pytest.raises(StoreError):
        await store.create(KEY, b"written")
    with pytest.raises(StoreError):
        await store.create(KEY + ".new" if depth < 5 else KEY, b"written")
    files = [path for path in (outside, *below(outside)) if path.is_file()]
    assert [path.read_bytes() for path in files] == [b"outside"]


async def test_a_pipe_holds_nobody(store: DirectoryStore, root: Path) -> None:
    """A FIFO that was planted is nothing that is kept."""
    (root / KEY).parent.mkdir(parents=True)
    os.mkfifo(root / KEY)

    with pytest.raises(MissingError):
        await asyncio.wait_for(content_of(store, KEY), 5)


async def test_nothing_of_a_failure_is_left(store: DirectoryStore, root: Path) -> None:
    """A key that is taken leaves no temporary file."""
    await store.create(KEY, b"x")
    with pytest.raises(ExistsError):
        await store.create(KEY, b"y")

    assert list((root / ".partial").iterdir()) == []


async def test_what_a_dead_process_left_is_swept(store: DirectoryStore, root: Path) -> None:
    """And what a living one writes is not."""
    (root / ".partial" / "left").write_bytes(b"half")
    with store._temporary() as (name, _):
        assert await store.sweep() == 1

        assert [path.name for path in (root / ".partial").iterdir()] == [name]


def test_a_start_sweeps(root: Path) -> None:
    """What was left half written before."""
    (root / ".partial").mkdir(parents=True)
    (root / ".partial" / "left").write_bytes(b"half")

    DirectoryStore(root).close()

    assert below(root) == [root / ".partial"]


async def test_deletion_removes_empty_directories(store: DirectoryStore, root: Path) -> None:
    """But no other."""
    await store.create("a/b/c/d", b"")
    await store.create("a/x", b"")

    await store.delete("a/b/c/d")

    assert [str(path.relative_to(root)) for path in below(root)] == [".partial", "a", "a/x"]


async def test_creators_and_deleters_race(store: DirectoryStore) -> None:
    """A creator whose directories are removed under its hands makes them again."""

    async def both(number: int) -> None:
        for _ in range(30):
            await store.create(f"a/b/c/{number}", b"x")
            await store.delete(f"a/b/c/{number}")

    await asyncio.gather(*(both(number) for number in range(8)))

    assert [kept async for kept in store.list("")] == []


async def test_a_failure_leaves_no_directory(
    store: DirectoryStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Directories that were made for a content that could not be kept are removed."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(directory, "rename_new", refuse)
    with pytest.raises(StoreError, match="No space left"):
        await store.create(KEY, b"x")

    assert [path.name for path in below(root)] == [".partial"]


@pytest.mark.parametrize("way", ["bytes", "file"])
async def test_what_is_acknowledged_survives_the_loss_of_power(
    store: DirectoryStore, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The content is durable before it has its name, and then each directory down to it, the lowest first."""
    steps: list[str] = []
    sync, rename = os.fsync, directory.rename_new

    def note_sync(file: int) -> None:
        steps.append(os.readlink(f"/proc/self/fd/{file}"))
        sync(file)

    def note_rename(*arguments: Any, **options: Any) -> None:
        steps.append("rename")
        rename(*arguments, **options)

    monkeypatch.setattr(directory.os, "fsync", note_sync)
    monkeypatch.setattr(directory, "rename_new", note_rename)
    finished = tmp_path / "finished"
    finished.write_bytes(b"x")
    await store.create("a/b/c", finished if way == "file" else b"x")

    assert steps[0] == str(finished) if way == "file" else steps[0].startswith(f"{root}/.partial/")
    assert steps[1:] == ["rename", f"{root}/a/b", f"{root}/a", str(root)]


async def test_a_root_that_is_exchanged_is_not_followed(store: DirectoryStore, root: Path, tmp_path: Path) -> None:
    """It is opened once, at the start."""
    os.rename(root, tmp_path / "before")
    os.mkdir(tmp_path / "outside")
    os.symlink(tmp_path / "outside", root)

    await store.create(KEY, b"x")

    assert below(tmp_path / "outside") == []
    assert (tmp_path / "before" / KEY).exists()


async def test_a_sweep_between_making_and_locking_loses_nothing(
    store: DirectoryStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer sees that its file was removed, and makes another."""
    lock, swept = directory.fcntl.flock, []

    def sweep_first(file: int, how: int) -> None:
        if not swept:
            swept.append(True)
            for path in (root / ".partial").iterdir():
                path.unlink()
        lock(file, how)

    monkeypatch.setattr(directory.fcntl, "flock", sweep_first)
    await store.create(KEY, b"x")

    assert await content_of(store, KEY) == b"x"


async def test_foreign_names_are_not_listed(store: DirectoryStore, root: Path) -> None:
    """What a file system or a person put there is none of ours."""
    (root / "lost+found").mkdir()
    (root / "lost+found" / "x").touch()
    (root / "a").mkdir()
    for name in (".hidden", "a b", "ä", "x~"):
        (root / "a" / name).touch()
    await store.create("a/x", b"")

    assert [kept.key async for kept in store.list("")] == ["a/x"]


def test_where_temporary_names_go_is_no_link(root: Path, tmp_path: Path) -> None:
    """Where temporary names go is a directory of ours, or the store does not start."""
    root.mkdir()
    (tmp_path / "outside").mkdir()
    (root / ".partial").symlink_to(tmp_path / "outside")

    with pytest.raises(SettingsError):
        DirectoryStore(root)
