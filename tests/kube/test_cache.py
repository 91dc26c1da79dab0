"""Promises of the cache: it ends equal to the server whatever the server and the network do."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import structlog
from aiohttp import web

from tests.kube.scripted import (
    Answer,
    Asked,
    Scripted,
    a_pod,
    bookmark,
    cuts,
    event,
    hangs,
    page,
    refuses,
    says,
    streams,
)
from toe.api.meta import LabelSelector, ObjectMeta
from toe.api.pod import Pod
from toe.errors import DecodeError, ForbiddenError, NotFoundError, ToeError, UnavailableError
from toe.kube.cache import Cache, Pace
from toe.kube.client import Client
from toe.kube.resource import PODS

QUICK = Pace(watch=2.0, grace=3.0, initial=5.0, first_retry=0.01, longest_retry=0.05)
IMPATIENT = Pace(watch=2.0, grace=0.2, initial=0.3, first_retry=0.01, longest_retry=0.05)


class Follower:
    """Is a cache under test and everything it told."""

    def __init__(self, client: Client, **arguments: Any) -> None:
        self.changes: list[tuple[str | None, str | None]] = []
        self.errors: list[ToeError] = []
        self.cache = Cache(
            client, PODS, on_change=self._changed, **{"pace": QUICK, "on_error": self.errors.append} | arguments
        )

    def _changed(self, old: Pod | None, new: Pod | None) -> None:
        self.changes.append((_tag(old), _tag(new)))

    @property
    def tags(self) -> set[str | None]:
        return {_tag(pod) for pod in self.cache.list()}

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - what a test waits for has no event
                await asyncio.sleep(0.005)


def _tag(pod: Pod | None) -> str | None:
    return f"{pod.metadata.name}{pod.metadata.resource_version}" if pod else None


@asynccontextmanager
async def following(*answers: Answer, **arguments: Any) -> AsyncIterator[tuple[Follower, Scripted]]:
    """Runs a cache against a server that gives ``answers``."""
    async with Scripted([*answers]) as server, Client(server.access, deadline=10) as client:
        follower = Follower(client, **arguments)
        task = asyncio.create_task(follower.cache.run())
        try:
            yield follower, server
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def beginning(*pods: dict[str, Any], version: int = 10) -> list[str]:
    """Is how a WatchList begins."""
    return [*(event("ADDED", pod) for pod in pods), bookmark(version, end=True)]


def watches(server: Scripted) -> list[Asked]:
    return [asked for asked in server.asked if "watch" in asked.query]


async def test_one_request_lists_and_watches() -> None:
    """With WatchList the first request brings everything, and the changes come over the same one."""
    answer = streams(*beginning(a_pod("a", 3), a_pod("b", 4)), 0.05, event("MODIFIED", a_pod("a", 11)), 5.0)
    async with following(answer, label_selector="x=y") as (follower, server):
        assert not follower.cache.is_synced
        await asyncio.wait_for(follower.cache.synced(), 10)
        assert follower.tags == {"a3", "b4"}
        await follower.until(lambda: follower.tags == {"a11", "b4"})
        assert follower.changes == [(None, "a3"), (None, "b4"), ("a3", "a11")]
        (asked,) = server.asked
        assert asked.path == "/api/v1/pods"
        assert asked.query.pop("timeoutSeconds") == "2"
        assert asked.query == {
            "watch": "true",
            "sendInitialEvents": "true",
            "resourceVersionMatch": "NotOlderThan",
            "allowWatchBookmarks": "true",
            "labelSelector": "x=y",
        }
        assert follower.cache.live
        assert len(follower.cache) == 2


async def test_what_the_watch_has_not_told_yet_can_be_asked_for() -> None:
    """The watch goes on, and what it tells late changes nothing."""
    late = event("MODIFIED", a_pod("a", 11))
    watch = streams(*beginning(a_pod("a", 3), a_pod("b", 4)), 0.3, late, event("MODIFIED", a_pod("c", 14)), 5.0)
    async with following(watch, says(page(a_pod("a", 12), a_pod("c", 13), version=13))) as (follower, server):
        await asyncio.wait_for(follower.cache.synced(), 10)
        await follower.cache.refresh()
        assert follower.tags == {"a12", "c13"}
        await follower.until(lambda: follower.tags == {"a12", "c14"})
        assert len(watches(server)) == 1


async def test_nothing_is_shown_before_everything_is_there() -> None:
    """Before the bookmark that ends the beginning the cache is empty; what is deleted in between never shows."""
    answer = streams(
        event("ADDED", a_pod("a", 3)),
        event("ADDED", a_pod("b", 4)),
        event("DELETED", a_pod("a", 12)),
        bookmark(11),
        0.1,
        bookmark(12, end=True),
        5.0,
    )
    async with following(answer) as (follower, _):
        await asyncio.sleep(0.05)
        assert follower.changes == []
        await follower.until(lambda: follower.cache.is_synced)
        assert follower.changes == [(None, "b4")]


@pytest.mark.parametrize("refusal", [refuses(422, "Invalid"), refuses(400, "BadRequest")])
async def test_a_server_without_watch_list_is_listed_in_pages(refusal: Answer) -> None:
    """A server that does not know sendInitialEvents is read by pages, then watched from their version, ever after."""
    answers = [
        refusal,
        says(page(a_pod("a", 3), version=9, more="t")),
        says(page(a_pod("b", 4), version=9)),
        streams(event("ADDED", a_pod("c", 10)), 0.05, event("ERROR", {"code": 410, "reason": "Expired"})),
        says(page(version=20)),
        streams(5.0),
    ]
    async with following(*answers) as (follower, server):
        await follower.until(lambda: follower.tags == {"a3", "b4", "c10"})
        assert server.asked[3].query["resourceVersion"] == "9"
        await follower.until(lambda: follower.tags == set())
        assert server.asked[4].query == {"limit": "500"}


@pytest.mark.parametrize("answer", [streams(event("ADDED", a_pod("x", 1)), 5.0), streams(), hangs])
async def test_a_beginning_without_end_falls_back_to_pages(answer: Answer) -> None:
    """When the bookmark does not come in time, or not at all, the collection is listed."""
    async with following(answer, says(page(a_pod("a", 3), version=9)), streams(5.0), pace=IMPATIENT) as (
        follower,
        server,
    ):
        await asyncio.wait_for(follower.cache.synced(), 10)
        assert follower.tags == {"a3"}
        await follower.until(lambda: len(server.asked) == 3)
        assert server.asked[2].query["resourceVersion"] == "9"


async def test_a_watch_goes_on_where_it_stopped() -> None:
    """After the server ended the watch, or the connection was cut, nothing is listed again and nothing is missed."""
    answers = [
        streams(*beginning(a_pod("a", 3)), event("MODIFIED", a_pod("a", 11)), bookmark(20)),
        streams(event("MODIFIED", a_pod("a", 21)), cut=True),
        cuts,
        streams(event("MODIFIED", a_pod("a", 22)), 5.0),
    ]
    async with following(*answers) as (follower, server):
        await follower.until(lambda: follower.tags == {"a22"})
        assert [asked.query.get("resourceVersion") for asked in watches(server)] == [None, "20", "21", "21"]
        assert follower.cache.relists == 1


@pytest.mark.parametrize("in_stream", [True, False], ids=["ERROR event", "status"])
async def test_an_expired_position_is_listed_anew(in_stream: bool) -> None:
    """410, as a status or in the stream, leads to a relist that finds what was deleted and made again meanwhile."""
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    answers = [
        streams(*beginning(a_pod("a", 3, "u1"), a_pod("b", 4, "u2"), a_pod("c", 5, "u3"))),
        streams(event("ERROR", gone), 5.0) if in_stream else refuses(410, "Gone"),
        streams(*beginning(a_pod("b", 4, "u2"), a_pod("c", 15, "u4"), version=30), 5.0),
    ]
    async with following(*answers) as (follower, _):
        await follower.until(lambda: follower.tags == {"b4", "c15"})
        assert sorted(follower.changes[3:], key=str) == [("a3", None), ("c5", None), (None, "c15")]
        assert follower.errors == []


async def test_a_silent_connection_is_found() -> None:
    """A watch that the server should have ended is dead: another one is opened from the same place."""
    pace = Pace(watch=0.5, grace=0.1, initial=5.0, first_retry=0.01)
    answers = [
        streams(*beginning(a_pod("a", 3)), 60.0),
        streams(event("MODIFIED", a_pod("a", 11)), 60.0),
        streams(60.0),
    ]
    async with following(*answers, pace=pace) as (follower, server):
        await follower.until(lambda: follower.cache.is_synced)
        start = time.monotonic()
        await follower.until(lambda: follower.tags == {"a11"})
        assert time.monotonic() - start < pace.watch + pace.grace + 2
        assert isinstance(follower.errors[0], UnavailableError)
        assert follower.errors[0].reason == "Silent"
        assert watches(server)[1].query["resourceVersion"] == "10"


async def test_a_silent_server_is_told() -> None:
    """When nothing is heard the cache is not live; ``age`` says for how long."""
    now = 0.0
    async with following(streams(*beginning(), 60.0), clock=lambda: now) as (follower, _):
        assert follower.cache.age == float("inf")
        assert not follower.cache.live
        await follower.until(lambda: follower.cache.is_synced)
        now = 4.9
        assert follower.cache.live
        assert follower.cache.age == pytest.approx(4.9)
        now = 5.1
        assert not follower.cache.live


async def test_an_object_that_is_not_understood_counts_as_absent() -> None:
    """One broken object stops nothing: it is reported, and is there again when it is whole again."""
    bad = a_pod("a", 12)
    bad["spec"] = 7
    nameless = {"metadata": 7}
    versionless = a_pod("d")
    versionless["metadata"]["resourceVersion"] = "x"
    answer = streams(
        *beginning(a_pod("a", 3), bad | {"metadata": a_pod("b")["metadata"]}, nameless, versionless),
        event("MODIFIED", bad),
        event("MODIFIED", nameless),
        event("ADDED", versionless),
        event("MODIFIED", a_pod("a", 13)),
        event("ADDED", a_pod("c", 14)),
        5.0,
    )
    async with following(answer) as (follower, _):
        await follower.until(lambda: follower.tags == {"a13", "c14"})
        assert follower.changes == [(None, "a3"), ("a3", None), (None, "a13"), (None, "c14")]
        assert all(isinstance(error, DecodeError) for error in follower.errors)
        assert [str(error) for error in follower.errors][:1] == ["Pod n/b: spec: Expected `object`, got `int`"]
        assert len(follower.errors) == 6


async def test_a_list_with_a_broken_object_is_taken_without_it() -> None:
    """The pages of a server without WatchList are read object by object."""
    bad = a_pod("b")
    bad["status"] = "x"
    async with following(says(page(a_pod("a", 3), bad, version=9)), streams(5.0), watch_list=False) as (follower, _):
        await follower.until(lambda: follower.cache.is_synced)
        assert follower.tags == {"a3"}
        assert "Pod n/b" in str(follower.errors[0])


async def test_half_a_line_is_not_an_event() -> None:
    """A stream that ends in the middle of an event is gone on with after the last whole one."""
    answers = [
        streams(*beginning(a_pod("a", 3)), event("MODIFIED", a_pod("a", 11)), b'{"type":"MODIFIED","obj'),
        streams(event("MODIFIED", a_pod("a", 12)), 5.0),
    ]
    async with following(*answers) as (follower, server):
        await follower.until(lambda: follower.tags == {"a12"})
        assert watches(server)[1].query["resourceVersion"] == "11"
        assert isinstance(follower.errors[0], UnavailableError)


@pytest.mark.parametrize("meta", [{"resourceVersion": "x"}, 7, {"resourceVersion": ""}])
async def test_a_bookmark_without_a_version_is_garbage(meta: Any) -> None:
    """A bookmark that cannot be read is no reason to stop, nor to believe anything."""
    garbage = event("BOOKMARK", {"metadata": meta})
    answers = [streams(garbage), streams(*beginning(a_pod("a", 3)), garbage), streams(bookmark(12), 5.0)]
    async with following(*answers) as (follower, server):
        await follower.until(lambda: len(server.asked) == 3 and follower.tags == {"a3"})
        assert len(follower.errors) == 2


async def test_a_list_that_is_none_is_told_and_tried_again() -> None:
    """An answer that is no list stops nothing."""
    answers = [says([]), says({"items": []}), says(page(a_pod("a", 3), version=9)), streams(5.0)]
    async with following(*answers, watch_list=False) as (follower, _):
        await follower.until(lambda: follower.tags == {"a3"})
        assert [type(error) for error in follower.errors] == [DecodeError, DecodeError]


async def test_watches_that_are_always_eaten_give_way_to_lists() -> None:
    """When something between us and the server cuts every watch, lists keep the cache from staying behind."""
    pods = [a_pod("a", 3)]

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await cuts(request)
        return await says(page(*pods, version=9 if len(pods) == 1 else 20))(request)

    async with following(answer) as (follower, _):
        await follower.until(lambda: follower.tags == {"a3"})
        pods.append(a_pod("b", 15))
        await follower.until(lambda: follower.tags == {"a3", "b15"})


async def test_a_stream_of_nonsense_is_listed_anew_in_the_end() -> None:
    """When the watch stays garbled, the collection is listed again instead of being trusted for ever."""
    garbage = streams("nonsense")
    listed = says(page(a_pod("a", 20), version=30))
    answers = [streams(*beginning(a_pod("a", 3))), *[garbage] * 5, listed, streams(5.0)]
    async with following(*answers) as (follower, _):
        await follower.until(lambda: follower.tags == {"a20"})
        assert follower.cache.relists == 2


async def test_a_watch_that_ends_at_once_is_not_a_hot_loop() -> None:
    """A server that ends every watch immediately is asked with growing pauses."""
    pace = Pace(watch=2.0, grace=0.2, initial=5.0, first_retry=0.05, longest_retry=10.0)
    async with following(streams(*beginning()), streams(), pace=pace) as (_, server):
        await asyncio.sleep(1.0)
        assert len(server.asked) <= 8


@pytest.mark.parametrize("code", [403, 404, 500, 503])
async def test_a_refused_list_is_tried_until_it_works(code: int) -> None:
    """Missing rights, a missing kind and a broken server are told and tried again."""
    answers = [refuses(code), refuses(code), streams(*beginning(a_pod("a", 3)), 5.0)]
    async with following(*answers) as (follower, _):
        await follower.until(lambda: follower.tags == {"a3"})
        assert len(follower.errors) == 2
        expected = {403: ForbiddenError, 404: NotFoundError}.get(code, UnavailableError)
        assert all(type(error) is expected for error in follower.errors)


async def test_the_servers_wish_to_wait_is_obeyed() -> None:
    """Retry-After of a refused watch is waited for."""
    answers = [refuses(429, Retry_After="1"), streams(*beginning(), 5.0)]
    start = time.monotonic()
    async with following(*answers) as (follower, server):
        await follower.until(lambda: follower.cache.is_synced)
        assert time.monotonic() - start >= 1.0
        assert len(server.asked) == 2


async def test_a_kind_that_went_away_is_listed_when_it_is_back() -> None:
    """After a 404 (its definition was deleted) nothing old is trusted: the collection is listed."""
    answers = [
        streams(*beginning(a_pod("a", 3))),
        refuses(404),
        refuses(404),
        streams(*beginning(a_pod("b", 40), version=50), 5.0),
    ]
    async with following(*answers) as (follower, _):
        await follower.until(lambda: follower.tags == {"b40"})


async def test_a_server_restored_from_backup_is_believed() -> None:
    """After an outage the server's version is asked for; when it is older than ours everything is listed anew."""
    answers = [
        streams(*beginning(a_pod("a", 30), a_pod("b", 31), version=40)),
        refuses(503),
        says(page(version=20)),
        streams(*beginning(a_pod("a", 15), version=21), 5.0),
    ]
    async with following(*answers) as (follower, server):
        await follower.until(lambda: follower.tags == {"a15"})
        assert server.asked[2].query == {"limit": "1"}


async def test_what_a_write_returned_is_read_at_once() -> None:
    """``observe`` shows the writer his own write; the watch event of it is no second change."""
    answer = streams(
        *beginning(a_pod("a", 3)), 0.1, event("MODIFIED", a_pod("a", 12)), event("ADDED", a_pod("z", 13)), 5.0
    )
    async with following(answer) as (follower, _):
        await follower.until(lambda: follower.cache.is_synced)
        follower.cache.observe(Pod(metadata=ObjectMeta(name="a", namespace="n", uid="uid-a", resource_version="12")))
        assert follower.tags == {"a12"}
        await follower.until(lambda: "z13" in follower.tags)
        assert follower.changes == [(None, "a3"), ("a3", "a12"), (None, "z13")]


async def test_another_namespaces_write_is_not_observed() -> None:
    """A cache of one namespace stays one of one namespace."""
    async with following(streams(*beginning(), 5.0), namespace="n") as (follower, server):
        await follower.until(lambda: follower.cache.is_synced)
        follower.cache.observe(Pod(metadata=ObjectMeta(name="a", namespace="other", uid="u", resource_version="12")))
        assert follower.tags == set()
        assert server.asked[0].path == "/api/v1/namespaces/n/pods"


async def test_lookups_go_through() -> None:
    """get, list, by_index and select answer from the copy."""
    answer = streams(*beginning(a_pod("a", 3, app="x"), a_pod("b", 4, app="y")), 5.0)
    async with following(answer, indexes={"uid": lambda pod: [pod.metadata.uid]}) as (follower, _):
        await follower.until(lambda: follower.cache.is_synced)
        cache = follower.cache
        assert _tag(cache.get("n", "a")) == "a3"
        assert cache.get("n", "c") is None
        assert len(cache.list("n")) == 2
        assert cache.list("m") == []
        assert [_tag(pod) for pod in cache.by_index("uid", "uid-a")] == ["a3"]
        assert [_tag(pod) for pod in cache.select("n", LabelSelector(match_labels={"app": "y"}))] == ["b4"]


async def test_a_mistake_in_on_change_is_not_hidden() -> None:
    """An exception of the listener ends run, so that the program fails visibly."""

    def broken(old: Pod | None, new: Pod | None) -> None:
        raise ZeroDivisionError

    async with Scripted([streams(*beginning(a_pod("a", 3)), 5.0)]) as server, Client(server.access) as client:
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(Cache(client, PODS, on_change=broken).run(), 3)


async def test_trouble_is_logged_unless_somebody_listens() -> None:
    """Without ``on_error`` what went wrong is logged with constant texts."""
    bad = a_pod("b")
    bad["spec"] = 7
    answers = [refuses(500), streams(*beginning(bad), 5.0)]
    with structlog.testing.capture_logs() as logs:
        async with following(*answers, on_error=None) as (follower, _):
            await follower.until(lambda: follower.cache.is_synced)
    assert [entry["event"] for entry in logs] == ["watch interrupted", "object cannot be understood"]
    assert {entry["resource"] for entry in logs} == {"pods"}
