"""Object stores beyond the port: placeholders, servers that lie, are dead or refuse, and what an error tells."""

import asyncio
import secrets
import socket
import time
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import obstore
import pytest
from aiohttp import web
from obstore.store import MemoryStore

from tests.store.servers import KEYS, free_port, make_bucket
from tests.store.test_port_of_all import KEY, LARGE, a_file, content_of, keys_of
from toe.errors import ExistsError, MissingError, SettingsError, StoreError
from toe.store import objects
from toe.store.location import open_store
from toe.store.objects import ObjectStore


@pytest.fixture(params=["memory", "s3"])
async def store(request: pytest.FixtureRequest) -> ObjectStore:
    if request.param == "memory":
        return ObjectStore(MemoryStore())
    server: str = request.getfixturevalue("s3")
    bucket = f"objects-{secrets.token_hex(8)}"
    await make_bucket(server, bucket)
    opened = await open_store(f"s3://{bucket}", {**KEYS, "endpoint": server, "allow_http": "true"})
    assert isinstance(opened, ObjectStore)
    return opened


async def leave_placeholder(store: ObjectStore, seconds: int) -> None:
    """As a collector does that is killed while it sends a large content."""
    attributes = {objects._WRITING: str(seconds)}
    content = secrets.token_bytes(objects._PLACEHOLDER_BYTES)
    await obstore.put_async(store._bucket, KEY, content, attributes=attributes)


async def test_a_placeholder_is_nothing_kept(store: ObjectStore) -> None:
    """It is not told, not read and not listed."""
    await leave_placeholder(store, 60)

    assert await store.stat(KEY) is None
    assert await keys_of(store) == []
    with pytest.raises(MissingError):
        await content_of(store, KEY)


@pytest.mark.parametrize("content", [b"small", LARGE], ids=["small", "large"])
async def test_a_young_placeholder_is_waited_for(store: ObjectStore, tmp_path: Path, content: bytes) -> None:
    """Its owner may live: try again, and nothing is said to exist."""
    await leave_placeholder(store, 60)

    with pytest.raises(StoreError, match="written by somebody else") as caught:
        await store.create(KEY, a_file(tmp_path, content))

    assert not isinstance(caught.value, ExistsError)


@pytest.mark.parametrize("content", [b"small", LARGE], ids=["small", "large"])
async def test_an_old_placeholder_gives_way(store: ObjectStore, tmp_path: Path, content: bytes) -> None:
    """Its owner is dead: the content of somebody else takes its place."""
    await leave_placeholder(store, -3600)

    await store.create(KEY, a_file(tmp_path, content))

    assert await content_of(store, KEY) == content
    assert await keys_of(store) == [KEY]


async def test_of_many_one_takes_an_old_placeholder_over(store: ObjectStore) -> None:
    """Exactly one."""
    await leave_placeholder(store, -3600)

    found = await asyncio.gather(*(store.create(KEY, b"%d" % i) for i in range(20)), return_exceptions=True)

    assert found.count(None) == 1
    assert all(each is None or isinstance(each, StoreError) for each in found)
    assert await content_of(store, KEY) == b"%d" % found.index(None)


@pytest.mark.parametrize("store", ["memory"], indirect=True)
@pytest.mark.parametrize("how", ["fails", "hangs", "is cancelled"])
async def test_a_large_content_that_does_not_come_leaves_nothing(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Its placeholder is removed, the file stays, and the next one finds the key free."""
    real = obstore.put_async

    async def put(*arguments: Any, **options: Any) -> Any:
        if not options.get("use_multipart"):
            return await real(*arguments, **options)
        if how == "fails":
            raise obstore.exceptions.GenericError("status code: 500 Internal Server Error")
        return await asyncio.sleep(60)

    file = a_file(tmp_path, LARGE)
    monkeypatch.setattr(objects.obstore, "put_async", put)
    if how == "hangs":
        monkeypatch.setattr(objects, "LEAST_SECONDS", -LARGE.__sizeof__() // objects.SLOWEST_BYTES_PER_SECOND)
    creating = asyncio.create_task(store.create(KEY, file))
    await asyncio.sleep(0.1)
    if how == "is cancelled":
        creating.cancel()
    with pytest.raises((StoreError, asyncio.CancelledError)):
        await creating
    monkeypatch.undo()

    await store.create(KEY, file)
    assert await content_of(store, KEY) == LARGE


async def _old_server(request: web.Request) -> web.Response:
    return web.Response(headers={"ETag": '"x"'})


async def _refusing_server(request: web.Request) -> web.Response:
    body = "<Error><Code>AccessDenied</Code><Message>AKIDCANARY may not SECRETCANARY</Message></Error>"
    return web.Response(status=403, body=body)


async def _failing_server(request: web.Request) -> web.Response:
    return web.Response(status=500, body="SECRETCANARY")


@pytest.fixture
async def served(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", request.param)
    runner = web.AppRunner(application)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


@pytest.mark.parametrize(
    ("served", "told"),
    [
        (_old_server, "ignores If-None-Match"),
        (_refusing_server, "403 Forbidden (AccessDenied)"),
        (_failing_server, "500"),
    ],
    indirect=["served"],
    ids=["old", "refusing", "failing"],
)
async def test_a_server_that_cannot_be_used_is_told_at_the_start(served: str, told: str) -> None:
    """Before any upload is lost in it; with no credential in the words or in what led to them."""
    with pytest.raises(SettingsError) as caught:
        await open_store("s3://bucket/p", {**KEYS, "endpoint": served, "allow_http": "true"}, seconds=1)

    assert told in str(caught.value)
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("dead", ["refuses", "is silent"])
async def test_a_dead_server_holds_nobody(dead: str) -> None:
    """The error comes after about twice the seconds of one request, not after obstore's three minutes."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if dead == "is silent":
            silent.listen(10)
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(SettingsError, match="does not answer") as caught:
            await open_store("s3://bucket/p", {**KEYS, "endpoint": address, "allow_http": "true"}, seconds=1)

    assert time.monotonic() - started < 8
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))


async def test_a_read_from_a_silent_server_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is repeated, but not for long."""

    async def believe(_: ObjectStore) -> None:
        return

    monkeypatch.setattr(ObjectStore, "prove", believe)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        store = await open_store("s3://bucket/p", {**KEYS, "endpoint": address, "allow_http": "true"}, seconds=0.5)
        started = time.monotonic()
        with pytest.raises(StoreError, match="does not answer"):
            await store.stat(KEY)

    assert time.monotonic() - started < 4


async def test_a_bucket_that_is_not_there_is_told(s3: str) -> None:
    """At the start."""
    with pytest.raises(SettingsError, match="there is no such bucket"):
        await open_store("s3://nowhere/p", {**KEYS, "endpoint": s3, "allow_http": "true"})


async def test_keys_out_of_order_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever relies on their order would go wrong in silence."""
    store = ObjectStore(MemoryStore())
    for key in ("a", "b"):
        await store.create(key, b"")
    pages = await obstore.list(store._bucket).collect_async()

    async def backwards(*_: Any, **__: Any) -> AsyncIterator[Any]:
        yield list(reversed(pages))

    monkeypatch.setattr(objects.obstore, "list", backwards)
    with pytest.raises(StoreError, match="order"):
        await keys_of(store)


async def test_a_prefix_of_the_bucket_is_no_part_of_keys(s3: str) -> None:
    """Two installations share a bucket and do not see one another."""
    await make_bucket(s3, "shared")
    options = {**KEYS, "endpoint": s3, "allow_http": "true"}
    one, other = await open_store("s3://shared/one", options), await open_store("s3://shared/other/", options)
    whole = await open_store("s3://shared", options)

    await one.create(KEY, b"x")

    assert await keys_of(one) == [KEY]
    assert await keys_of(other) == []
    assert await keys_of(whole) == [f"one/{KEY}"]


async def test_an_answer_that_is_cut_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read is never taken for the whole."""
    store = ObjectStore(MemoryStore())
    await store.create(KEY, b"0123456789")
    real = obstore.get_range_async

    async def cut(*arguments: Any, start: int, end: int) -> Any:
        return await real(*arguments, start=start, end=end - 1)

    monkeypatch.setattr(objects.obstore, "get_range_async", cut)
    with pytest.raises(StoreError, match="9 of 10 bytes"):
        await content_of(store, KEY)
