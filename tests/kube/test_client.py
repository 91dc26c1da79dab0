"""Promises of the client: typed answers, exact requests."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import msgspec
import pytest
from aiohttp import web

from tests.kube.scripted import Answer, Scripted, a_pod, cuts, page, refuses, says, streams
from toe.errors import ConflictError, DecodeError, ExpiredError, NotFoundError, UnavailableError
from toe.kube.client import Client, PatchKind
from toe.kube.resource import NAMESPACES, PODS


@asynccontextmanager
async def asking(*answers: Answer) -> AsyncIterator[tuple[Client, Scripted]]:
    """Connects a client to a server that gives ``answers``."""
    async with Scripted(list(answers)) as server, Client(server.access, deadline=20) as client:
        yield client, server


async def test_get_reads_one_object() -> None:
    """An object is decoded into its projection; a missing one is NotFoundError."""
    async with asking(says(a_pod("p", 7, app="x")), refuses(404, "NotFound")) as (client, server):
        pod = await client.get(PODS, "n", "p")
        assert (pod.metadata.name, pod.metadata.resource_version, pod.metadata.labels) == ("p", "7", {"app": "x"})
        with pytest.raises(NotFoundError):
            await client.get(PODS, "n", "q")
        assert [asked.path for asked in server.asked] == ["/api/v1/namespaces/n/pods/p", "/api/v1/namespaces/n/pods/q"]
        headers = server.asked[0].headers
        assert headers["User-Agent"].startswith("toe/")
        assert headers["Accept-Encoding"] == "identity"
        assert "Authorization" not in headers


async def test_an_answer_that_is_not_understood_names_object_and_field() -> None:
    """DecodeError says which object and which of its fields."""
    bad = a_pod("p")
    bad["spec"]["containers"][0]["name"] = 7
    async with asking(says(bad), says({"metadata": 7})) as (client, _):
        with pytest.raises(DecodeError, match=r"Pod n/p: spec.containers\[0\].name: Expected `str`, got `int`"):
            await client.get(PODS, "n", "p")
        with pytest.raises(DecodeError, match="Pod: metadata: Expected `object`"):
            await client.get(PODS, "n", "p")


async def test_list_reads_all_pages() -> None:
    """Pages are followed to the end; selectors go to the server; the version is the list's."""
    async with asking(says(page(a_pod("a"), version=9, more="t/&")), says(page(a_pod("b"), version=9))) as (
        client,
        server,
    ):
        pods, version = await client.list(PODS, "n", label_selector="a in (b, c)", field_selector="x=y", limit=1)
        assert [pod.metadata.name for pod in pods] == ["a", "b"]
        assert version == "9"
        expected = {"limit": "1", "labelSelector": "a in (b, c)", "fieldSelector": "x=y"}
        assert server.asked[0].query == expected
        assert server.asked[1].query == expected | {"continue": "t/&"}


async def test_a_list_whose_token_expires_is_read_in_one_page() -> None:
    """410 between two pages starts over without pages and gives nothing twice; 410 at the start is an error."""
    async with asking(
        says(page(a_pod("a"), more="t")), refuses(410, "Expired"), says(page(a_pod("a"), a_pod("b"), version=12))
    ) as (client, server):
        pods, version = await client.list(PODS)
        assert ([pod.metadata.name for pod in pods], version) == (["a", "b"], "12")
        assert server.asked[2].query == {}
    async with asking(refuses(410, "Expired")) as (client, _):
        with pytest.raises(ExpiredError):
            await client.list(PODS)


async def test_a_list_may_be_empty_or_nonsense() -> None:
    """``items: null`` is no objects; what is no list at all is DecodeError."""
    async with asking(says({"items": None, "metadata": {"resourceVersion": "3"}}), says([])) as (client, _):
        assert await client.list(NAMESPACES) == ([], "3")
        with pytest.raises(DecodeError, match="list of namespaces"):
            await client.list(NAMESPACES)


async def test_create_is_strict_unless_said() -> None:
    """Unknown fields are refused by the server, and a dry run is a dry run."""
    async with asking(says(a_pod(), 201)) as (client, server):
        await client.create(PODS, "n", {"metadata": {"name": "a"}})
        await client.create(PODS, "n", a_struct(), dry_run=True, field_validation="Warn", field_manager="me")
        first, second = server.asked
        assert (first.method, first.path) == ("POST", "/api/v1/namespaces/n/pods")
        assert first.query == {"fieldManager": "toe", "fieldValidation": "Strict"}
        assert first.headers["Content-Type"] == "application/json"
        assert json.loads(first.body) == {"metadata": {"name": "a"}}
        assert second.query == {"fieldManager": "me", "fieldValidation": "Warn", "dryRun": "All"}
        assert json.loads(second.body) == {"name": "x"}


def a_struct() -> msgspec.Struct:
    return msgspec.defstruct("Body", ["name"])("x")


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [
        ("strategic", "application/strategic-merge-patch+json"),
        ("merge", "application/merge-patch+json"),
        ("json", "application/json-patch+json"),
        ("apply", "application/apply-patch+yaml"),
    ],
)
async def test_each_kind_of_patch_has_its_content_type(kind: PatchKind, content_type: str) -> None:
    """The four kinds of patch are told apart by the content type."""
    async with asking(says(a_pod(version=2))) as (client, server):
        pod = await client.patch(
            PODS,
            "n",
            "a",
            {"metadata": {"uid": "u"}},
            kind=kind,
            subresource="ephemeralcontainers",
            force=kind == "apply",
        )
        assert pod.metadata.resource_version == "2"
        (asked,) = server.asked
        assert (asked.method, asked.path) == ("PATCH", "/api/v1/namespaces/n/pods/a/ephemeralcontainers")
        assert asked.headers["Content-Type"] == content_type
        assert asked.query.get("force") == ("true" if kind == "apply" else None)
        assert client.requests["patch", "pods/ephemeralcontainers", 200] == 1


async def test_patches_of_bytes_and_lists_are_sent_as_they_are() -> None:
    """A JSON patch is a list, and bytes are not encoded twice."""
    async with asking(says(a_pod())) as (client, server):
        await client.patch(PODS, "n", "a", b"{}", kind="merge", dry_run=True)
        await client.patch(PODS, "n", "a", [{"op": "test", "path": "/a", "value": 1}], kind="json")
        assert server.asked[0].body == b"{}"
        assert server.asked[0].query["dryRun"] == "All"
        assert json.loads(server.asked[1].body) == [{"op": "test", "path": "/a", "value": 1}]


async def test_delete_names_the_life_it_ends() -> None:
    """With a uid only that object is deleted; ConflictError when it is another one."""
    async with asking(says({"kind": "Status"}), refuses(409, "Conflict")) as (client, server):
        await client.delete(
            PODS, "n", "a", uid="u", resource_version="3", grace_period_seconds=0, propagation_policy="Background",
            dry_run=True,
        )  # fmt: skip
        with pytest.raises(ConflictError):
            await client.delete(PODS, "n", "a", uid="other")
        assert server.asked[0].method == "DELETE"
        assert json.loads(server.asked[0].body) == {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": "u", "resourceVersion": "3"},
            "gracePeriodSeconds": 0,
            "propagationPolicy": "Background",
            "dryRun": ["All"],
        }


async def test_raw_sends_anything_else() -> None:
    """Logs and reviews go through with the caller's parameters and headers, and their body comes back untouched."""
    async with asking(says("x"), says("y", 201), says("z")) as (client, server):
        assert await client.raw("GET", "/logs", params={"follow": False, "tail": 3}) == b'"x"'
        await client.raw("post", "/review", body={"a": 1}, headers={"X": "y"})
        await client.raw("POST", "/text", body=b"t", content_type="text/plain", deadline=1, repeatable=True)
        first, second, third = server.asked
        assert first.query == {"follow": "false", "tail": "3"}
        assert "Content-Type" not in first.headers or first.body == b""
        assert (second.method, second.headers["X"], json.loads(second.body)) == ("POST", "y", {"a": 1})
        assert (third.headers["Content-Type"], third.body) == ("text/plain", b"t")
        assert client.requests["get", "logs", 200] == 1


async def test_version_is_the_collections() -> None:
    """The present version of a collection costs one small list."""
    async with asking(says(page(version=77, more="t"))) as (client, server):
        assert await client.version(PODS) == "77"
        assert server.asked[0].query == {"limit": "1"}


async def test_a_stream_gives_lines_and_tells_a_cut() -> None:
    """Lines come whole wherever chunks end, the last even without a newline; a cut is UnavailableError."""
    async with asking(streams(b"a\nb", 0.01, b"c\n\nd")) as (client, server):
        async with aclosing(client.stream("/x", {"watch": True})) as lines:
            assert [line async for line in lines] == [b"a", b"bc", b"d"]
        assert server.asked[0].query == {"watch": "true"}
    async with asking(streams(b"a\nb", cut=True)) as (client, _):
        lines = client.stream("/x")
        assert await anext(lines) == b"a"
        with pytest.raises(UnavailableError, match="was lost"):
            await anext(lines)
    async with asking(cuts) as (client, _):
        with pytest.raises(UnavailableError):
            await anext(client.stream("/x"))
        assert client.requests["watch", "x", 0] == 1


async def test_a_stream_that_is_refused_raises_what_the_server_says() -> None:
    """A refusal is an error, not a line."""
    async with asking(refuses(410, "Expired")) as (client, _):
        with pytest.raises(ExpiredError):
            await anext(client.stream("/x", label="pods"))
        assert client.requests["watch", "pods", 410] == 1


async def test_who_may_not_write_sends_nothing_but_reads() -> None:
    """And does not try again, not even a question that changes nothing."""
    allowed = [True]
    answers = [says({"metadata": {"name": "x"}})] * 3
    async with Scripted(answers) as server, Client(server.access, permits=lambda: bool(allowed)) as client:
        await client.raw("PATCH", "/api/v1/x", body={})
        allowed.clear()
        with pytest.raises(UnavailableError, match="does not lead"):
            await client.raw("PATCH", "/api/v1/x", body={})
        with pytest.raises(UnavailableError, match="does not lead"):
            await client.raw("POST", "/api/v1/reviews", body={}, repeatable=True)
        await client.raw("GET", "/api/v1/x")
        assert client.requests["post", "reviews", 0] == 1
    assert [asked.method for asked in server.asked] == ["PATCH", "GET"]


async def test_a_write_that_waited_for_a_connection_is_judged_when_it_has_one() -> None:
    """What was permitted when it began to wait may not be any more."""
    allowed, under_way, go_on = [True], asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        under_way.set()
        await go_on.wait()
        return web.json_response({})

    async with (
        Scripted([slow]) as server,
        Client(server.access, connections=1, permits=lambda: bool(allowed)) as client,
    ):
        first = asyncio.create_task(client.raw("GET", "/api/v1/x"))
        await under_way.wait()
        second = asyncio.create_task(client.raw("PATCH", "/api/v1/x", body={}))
        await asyncio.sleep(0.05)
        allowed.clear()
        go_on.set()
        await first
        with pytest.raises(UnavailableError, match="does not lead"):
            await second
        await client.raw("GET", "/api/v1/x")
    assert [asked.method for asked in server.asked] == ["GET", "GET"]
