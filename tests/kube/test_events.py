"""Promises of the event recorder: kubectl describe shows what happened, and nobody waits for it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import structlog

from tests.kube.scripted import Answer, Scripted, cuts, hangs, refuses, says
from toe.api.meta import ObjectReference
from toe.kube.client import Client
from toe.kube.events import BURST, LONGEST_MESSAGE, WAITING, EventRecorder

NOW = datetime(2026, 11, 25, 9, 0, 0, tzinfo=UTC)
POD = ObjectReference(api_version="v1", kind="Pod", namespace="n", name="p", uid="u", resource_version="7")
STORED = says({"metadata": {"name": "e", "namespace": "n", "resourceVersion": "1"}}, 201)


@asynccontextmanager
async def recording(*answers: Answer, **arguments: Any) -> AsyncIterator[tuple[EventRecorder, Scripted]]:
    """Runs a recorder against a server that gives ``answers``."""
    async with Scripted([*answers]) as server, Client(server.access, deadline=10) as client:
        recorder = EventRecorder(client, **arguments)
        task = asyncio.create_task(recorder.run())
        try:
            yield recorder, server
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def record(recorder: EventRecorder, *, message: str = "m", now: datetime = NOW, **changes: Any) -> None:
    arguments: dict[str, Any] = {"type": "Normal", "reason": "R"} | changes
    recorder.record(arguments.pop("regarding", POD), message=message, now=now, **arguments)


async def test_an_event_is_what_describe_reads() -> None:
    """The event names object, reason, message, times, count and who reports, in the object's namespace."""
    async with recording(STORED, instance="pod-1") as (recorder, server):
        related = ObjectReference(kind="PowerTool", name="t", namespace="n")
        record(recorder, now=NOW.astimezone(timezone(timedelta(hours=2))), related=related, type="Warning")
        await recorder.flush(20)
        (asked,) = server.asked
        assert (asked.method, asked.path) == ("POST", "/api/v1/namespaces/n/events")
        body = json.loads(asked.body)
        assert body.pop("metadata")["name"].startswith("p.")
        assert body == {
            "apiVersion": "v1",
            "kind": "Event",
            "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": "n", "name": "p", "uid": "u"},
            "related": {"kind": "PowerTool", "name": "t", "namespace": "n"},
            "type": "Warning",
            "reason": "R",
            "message": "m",
            "count": 1,
            "firstTimestamp": "2026-11-25T09:00:00Z",
            "lastTimestamp": "2026-11-25T09:00:00Z",
            "reportingComponent": "toe",
            "reportingInstance": "pod-1",
            "source": {"component": "toe"},
        }


async def test_the_same_again_raises_the_count() -> None:
    """A repeated event patches count and last time of the first; a different one is an event of its own."""
    async with recording(STORED) as (recorder, server):
        record(recorder)
        await recorder.flush(20)
        record(recorder, now=NOW + timedelta(seconds=5), regarding=POD)
        record(recorder, now=NOW + timedelta(seconds=9))
        record(recorder, message="other")
        await recorder.flush(20)
        methods = [asked.method for asked in server.asked]
        assert methods == ["POST", "PATCH", "POST"]
        assert server.asked[1].path.endswith(json.loads(server.asked[0].body)["metadata"]["name"])
        assert json.loads(server.asked[1].body) == {"count": 3, "lastTimestamp": "2026-11-25T09:00:09Z"}
        assert server.asked[1].headers["Content-Type"] == "application/merge-patch+json"
        assert recorder.written == 3


async def test_an_event_that_expired_is_made_anew() -> None:
    """When the first one is gone (events live an hour) the next starts counting again."""
    async with recording(STORED, refuses(404), STORED) as (recorder, server):
        record(recorder)
        await recorder.flush(20)
        record(recorder, now=NOW + timedelta(hours=2))
        await recorder.flush(20)
        assert [asked.method for asked in server.asked] == ["POST", "PATCH", "POST"]
        again = json.loads(server.asked[2].body)
        assert (again["count"], again["firstTimestamp"]) == (1, "2026-11-25T11:00:00Z")


async def test_losing_events_hurts_nobody() -> None:
    """Whatever the server says to an event, recording goes on; life's ordinary refusals are not even logged."""
    terminating = says(
        {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "namespace n is being terminated"}, 403
    )
    with structlog.testing.capture_logs() as logs:
        async with recording(refuses(409), terminating, refuses(500), cuts, STORED) as (recorder, server):
            for number in range(5):
                record(recorder, message=str(number))
                await recorder.flush(20)
            assert recorder.written == 1
            assert recorder.dropped == 4
            assert len(server.asked) == 5
    assert [entry["event"] for entry in logs] == ["event was not written"] * 2


async def test_a_flood_about_one_object_is_held_back() -> None:
    """An object gets 25 events at once and one more each 300 s; others are not touched by that."""
    now = 0.0
    async with recording(STORED, clock=lambda: now) as (recorder, server):
        for number in range(100):
            record(recorder, message=str(number))
        assert recorder.dropped == 75
        record(recorder, regarding=ObjectReference(kind="Pod", namespace="n", name="q"))
        now = 600.0
        for number in range(3):
            record(recorder, message=f"later {number}")
        await recorder.flush(20)
        assert len(server.asked) == BURST + 1 + 2


async def test_recording_never_waits_and_never_grows() -> None:
    """With the server gone, recording returns at once and at most 1,000 events wait."""
    async with recording(hangs) as (recorder, _):
        for number in range(WAITING + 500):
            record(recorder, regarding=ObjectReference(kind="Pod", namespace="n", name=f"p{number}"))
        assert recorder.dropped == 500
        with structlog.testing.capture_logs() as logs:
            await recorder.flush(timeout=0.1)
        assert logs[0]["event"] == "events were not written in time"


async def test_memory_of_objects_is_bounded() -> None:
    """Objects that come and go by the thousand leave no trail."""
    async with recording(STORED) as (recorder, _):
        for number in range(5000):
            record(recorder, regarding=ObjectReference(kind="Pod", namespace="n", name=f"p{number}"))
            recorder._waiting.clear()
        assert len(recorder._series) == 4096
        assert len(recorder._buckets) == 4096
        recorder._idle.set()


async def test_a_long_message_is_cut_between_characters() -> None:
    """At most 1,024 bytes of UTF-8 are sent, and no torn character."""
    async with recording(STORED) as (recorder, server):
        record(recorder, message="ä" * 2000)
        record(recorder, message="a" * LONGEST_MESSAGE)
        record(recorder, message="bad \ud800 surrogate" + "x" * 2000)
        await recorder.flush(20)
        messages = [json.loads(asked.body)["message"] for asked in server.asked]
        assert all(len(message.encode()) <= LONGEST_MESSAGE for message in messages)
        assert messages[0].endswith("ä…")
        assert messages[1] == "a" * LONGEST_MESSAGE


async def test_a_cluster_wide_object_has_its_events_in_default() -> None:
    """Events about objects without a namespace live in "default", as Kubernetes demands."""
    async with recording(STORED) as (recorder, server):
        record(recorder, regarding=ObjectReference(kind="Namespace", name="n"))
        await recorder.flush(20)
        assert server.asked[0].path == "/api/v1/namespaces/default/events"


async def test_a_very_long_name_still_makes_a_name() -> None:
    """The event's name is a valid one for the longest object name, and another one for each event."""
    async with recording(STORED) as (recorder, server):
        name = "a" * 199 + "." + "b" * 53
        record(recorder, regarding=ObjectReference(kind="Pod", namespace="n", name=name))
        record(recorder, regarding=ObjectReference(kind="Pod", namespace="n", name=name), message="other")
        await recorder.flush(20)
        names = [json.loads(asked.body)["metadata"]["name"] for asked in server.asked]
        assert len(set(names)) == 2
        assert all(len(name) <= 253 and ".." not in name for name in names)


async def test_at_rest_nothing_is_sent() -> None:
    """A recorder with nothing to write sends nothing, and flush returns at once."""
    async with recording(STORED) as (recorder, server):
        await asyncio.wait_for(recorder.flush(), 0.1)
        await asyncio.sleep(0.05)
        assert server.asked == []
