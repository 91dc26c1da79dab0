"""Promises of the retry policy: reads come through, and no write is ever sent twice without certainty."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.kube.scripted import Answer, Scripted, a_pod, cuts, hangs, refuses, says, streams
from toe.errors import ConflictError, ForbiddenError, ToeError, UnavailableError
from toe.kube.access import Access
from toe.kube.client import Client
from toe.kube.credentials import Files
from toe.kube.resource import PODS
from toe.kube.transport import AMBIGUOUS, NEVER_SENT


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toe.kube.calls.FIRST_RETRY", 0.01)


@pytest.mark.parametrize(
    "trouble",
    [cuts, refuses(429), refuses(429, Retry_After="0"), refuses(500), refuses(502), refuses(503), refuses(504)],
)
async def test_a_read_comes_through(trouble: Answer) -> None:
    """A read is repeated after a lost connection, 429 and 5xx."""
    async with Scripted([trouble, trouble, says(a_pod("p"))]) as server, Client(server.access) as client:
        assert (await client.get(PODS, "n", "p")).metadata.name == "p"
        assert len(server.asked) == 3


async def test_a_read_is_not_repeated_for_ever() -> None:
    """After five tries the last refusal is raised."""
    async with Scripted([refuses(503)]) as server, Client(server.access) as client:
        with pytest.raises(UnavailableError, match="refused with 503"):
            await client.get(PODS, "n", "p")
        assert len(server.asked) == 5
        assert client.requests["get", "pods", 503] == 5


WRITES = {
    "create": lambda client: client.create(PODS, "n", {}),
    "patch": lambda client: client.patch(PODS, "n", "a", {}, kind="merge"),
    "delete": lambda client: client.delete(PODS, "n", "a"),
    "raw": lambda client: client.raw("POST", "/x", body={}),
    "put": lambda client: client.raw("PUT", "/x", body={}),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("warm", [False, True], ids=["fresh connection", "kept connection"])
@pytest.mark.parametrize(
    "trouble",
    [cuts, streams(b'{"metadata":', cut=True), refuses(500), refuses(502), refuses(503), refuses(504), refuses(409)],
    ids=["cut", "cut in answer", "500", "502", "503", "504", "409"],
)
async def test_a_write_that_may_have_been_executed_is_sent_once(write: str, warm: bool, trouble: Answer) -> None:
    """A lost connection or a 5xx after a write is the caller's to resolve by reading, on new and kept connections."""
    answers = [says(a_pod()), trouble] if warm else [trouble]
    async with Scripted(answers) as server, Client(server.access) as client:
        if warm:
            await client.raw("GET", "/warm")
        server.asked.clear()
        with pytest.raises((UnavailableError, ConflictError)):
            await WRITES[write](client)
        assert len(server.asked) == 1


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("trouble", [refuses(429), refuses(429, Retry_After="0"), refuses(503, Retry_After="1")])
async def test_a_write_that_was_refused_unexecuted_is_repeated(write: str, trouble: Answer) -> None:
    """Flow control refuses before executing, and so does a 503 with Retry-After: the write is sent again."""
    async with Scripted([trouble, says(a_pod())]) as server, Client(server.access) as client:
        await WRITES[write](client)
        assert len(server.asked) == 2


async def test_a_write_without_connection_is_repeated() -> None:
    """When no connection came about nothing can have been executed."""
    async with Scripted([says(a_pod())]) as server:
        url = server.url
    async with Client(Access(url)) as client:
        with pytest.raises(UnavailableError) as caught:
            await client.patch(PODS, "n", "a", {}, kind="merge")
        assert caught.value.reason == NEVER_SENT
        assert client.requests["patch", "pods", 0] == 5


async def test_a_write_into_silence_ends_at_the_deadline() -> None:
    """The deadline holds for a request with all its repetitions, and a write that met it is ambiguous."""
    async with Scripted([hangs]) as server, Client(server.access, deadline=1) as client:
        start = time.monotonic()
        with pytest.raises(UnavailableError, match="in time") as caught:
            await client.patch(PODS, "n", "a", {}, kind="merge")
        assert caught.value.reason == AMBIGUOUS
        assert time.monotonic() - start < 3
        assert len(server.asked) == 1
    async with Scripted([hangs]) as server, Client(server.access) as client:
        with pytest.raises(UnavailableError, match="in time"):
            await client.raw("GET", "/x", deadline=0.1)


async def test_a_harmless_post_is_repeated() -> None:
    """An access review changes nothing and may be sent again after a lost connection."""
    async with Scripted([cuts, says({})]) as server, Client(server.access) as client:
        await client.raw("POST", "/review", body={}, repeatable=True)
        assert len(server.asked) == 2


async def test_the_servers_wish_is_obeyed() -> None:
    """Nothing is sent before Retry-After has passed."""
    async with Scripted([refuses(429, Retry_After="1"), says(a_pod())]) as server, Client(server.access) as client:
        start = time.monotonic()
        await client.get(PODS, "n", "a")
        assert 1.0 <= time.monotonic() - start < 5.0
        assert len(server.asked) == 2


async def test_a_wish_beyond_the_deadline_is_handed_to_the_caller() -> None:
    """A wait that does not fit into the deadline is not waited: the error carries it for the queue."""
    async with Scripted([refuses(429, Retry_After="120")]) as server, Client(server.access, deadline=1) as client:
        with pytest.raises(UnavailableError) as caught:
            await client.patch(PODS, "n", "a", {}, kind="merge")
        assert caught.value.retry_after == 120
        assert len(server.asked) == 1


@asynccontextmanager
async def with_token(path: Path, *answers: Answer) -> AsyncIterator[tuple[Client, Scripted]]:
    """Connects a client that shows the token in ``path``."""
    async with Scripted([*answers]) as server, Client(Access(server.url, credentials=Files(token=path))) as client:
        yield client, server


async def test_a_refused_token_is_reloaded_once(tmp_path: Path) -> None:
    """A 401 reads the token file again and repeats the request once, write or not; the second 401 is final."""
    token = tmp_path / "token"
    token.write_text("old")
    async with with_token(token, says(a_pod()), refuses(401), says(a_pod()), refuses(401)) as (client, server):
        await client.patch(PODS, "n", "a", {}, kind="merge")
        token.write_text("new")
        await client.patch(PODS, "n", "a", {}, kind="merge")
        assert [asked.headers["Authorization"] for asked in server.asked] == [
            "Bearer old",
            "Bearer old",
            "Bearer new",
        ]
        server.asked.clear()
        with pytest.raises(ForbiddenError):
            await client.patch(PODS, "n", "a", {}, kind="merge")
        assert len(server.asked) == 2


async def test_a_stream_reloads_a_refused_token_too(tmp_path: Path) -> None:
    """A watch that gets a 401 is opened again with a fresh token, once."""
    token = tmp_path / "token"
    token.write_text("old")
    async with with_token(token, refuses(401), streams("x"), refuses(401)) as (client, server):
        assert [line async for line in client.stream("/x")] == [b"x"]
        with pytest.raises(ForbiddenError):
            await anext(client.stream("/x"))
        assert len(server.asked) == 4


async def test_each_answer_is_counted_and_told() -> None:
    """The observer hears verb, resource, code and seconds of every answer, 0 for none."""
    heard: list[tuple[str, str, int]] = []
    answers = [cuts, refuses(429), says(a_pod())]

    def observer(verb: str, resource: str, code: int, seconds: float) -> None:
        assert 0 <= seconds < 5
        heard.append((verb, resource, code))

    async with Scripted(answers) as server, Client(server.access, observer=observer) as client:
        await client.get(PODS, "n", "a")
        assert heard == [("get", "pods", 0), ("get", "pods", 429), ("get", "pods", 200)]
        assert client.requests == dict.fromkeys(heard, 1)


async def test_at_most_64_requests_are_under_way() -> None:
    """More writes than the limit wait for a connection instead of opening one each."""
    now = 0
    release = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        nonlocal now
        now += 1
        await release.wait()
        return await says(a_pod())(request)

    async with Scripted([slow]) as server, Client(server.access) as client:
        writes = [asyncio.create_task(client.patch(PODS, "n", "a", {}, kind="merge")) for _ in range(150)]
        await asyncio.sleep(1.0)
        assert now == 64
        release.set()
        await asyncio.gather(*writes)
        assert now == 150


async def test_a_cancelled_request_leaves_nothing_behind() -> None:
    """Cancelling a request cancels it; the client goes on."""
    async with Scripted([hangs, says(a_pod())]) as server, Client(server.access) as client:
        task = asyncio.create_task(client.get(PODS, "n", "a"))
        while not server.asked:  # noqa: ASYNC110 - the server has no event
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.get(PODS, "n", "a")


async def test_missing_credentials_are_an_error_of_the_settings(tmp_path: Path) -> None:
    """A token that cannot be read is told as such, not as a refusal by the server."""
    async with Client(Access("http://127.0.0.1:1", credentials=Files(token=tmp_path / "none"))) as client:
        with pytest.raises(ToeError, match="none"):
            await client.get(PODS, "n", "a")
