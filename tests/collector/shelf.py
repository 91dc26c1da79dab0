"""Kept files for tests, as the collector leaves them; and people in front of them."""

import hashlib
from datetime import timedelta
from typing import Any

import msgspec
from aiohttp import web

from tests.builders import NOW
from toe.collector.people import Person, Right
from toe.collector.refusals import unknown_caller
from toe.store.names import artifact_name, record_key
from toe.store.port import Store

DAY = "2026-03-01"


async def keep(
    store: Store,
    namespace: str = "shop",
    run: str = "k7",
    pod: str = "shop-1",
    name: str = "profile.folded",
    content: bytes = b"main;work 1\n",
    *,
    uid: str = "0a1b2c3d-run",
    segment: str | None = None,
    **facts: Any,
) -> str:
    """Keeps a file with its record, and returns the artifact's name."""
    key = f"{namespace}/{run}/{DAY}-{uid[:8]}/{pod}/{segment or name}"
    await store.create(key, content)
    await store.create(record_key(key), a_record(key, name, content, run_uid=uid, **facts))
    return artifact_name(run, key)


def a_record(key: str, name: str, content: bytes, *, run_uid: str = "0a1b2c3d-run", **facts: Any) -> bytes:
    """Is the record of a content, as the store keeps it."""
    namespace, run, _, pod, _ = key.split("/")
    record = {
        "key": key,
        "artifact": artifact_name(run, key),
        "name": name,
        "namespace": namespace,
        "run": run,
        "runUid": run_uid,
        "tool": "py-spy",
        "pod": pod,
        "podUid": f"uid-{pod}",
        "container": "toe-py-spy-0123456789",
        "target": "app",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "keptAt": NOW - timedelta(hours=1),
        "keepUntil": NOW + timedelta(days=7),
        **facts,
    }
    return msgspec.json.encode(record)


class Named:
    """Believes whoever says a name, in a header that no real doorman reads."""

    async def who(self, request: web.Request) -> Person:
        if not (name := request.headers.get("Test-User")):
            raise unknown_caller()
        return Person(name, f"uid-{name}", ("people",))


class Granted:
    """Holds rights by (user, verb, resource, namespace); ``answer`` instead of a look where it is not False."""

    def __init__(self, *rights: tuple[str, str, str, str]) -> None:
        self.rights = set(rights)
        self.answer: bool | None = False
        self.asked: list[tuple[Person, Right]] = []

    async def may(self, person: Person, right: Right) -> bool | None:
        self.asked.append((person, right))
        if self.answer is not False:
            return self.answer
        return (person.username, right.verb, right.resource, right.namespace) in self.rights
