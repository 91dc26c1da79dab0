"""An API server that says what a test tells it to, and remembers what it was asked."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from toe.kube.access import Access

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Asked:
    """Is one request that came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Scripted:
    """Answers each request with the next of ``answers``; the last one answers all that follow."""

    answers: list[Answer]
    asked: list[Asked] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=1 << 24)
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await self._site.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return self._site.name if self._site._port else f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    @property
    def access(self) -> Access:
        return Access(self.url)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append(Asked(request.method, request.path, dict(request.query), dict(request.headers), body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request)


def says(document: Any, code: int = 200, **headers: str) -> Answer:
    """Answers with a JSON document."""

    async def answer(request: web.Request) -> web.StreamResponse:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(body=json.dumps(document).encode(), status=code, headers=names)

    return answer


def refuses(code: int, reason: str = "", **headers: str) -> Answer:
    """Answers with a Status."""
    return says({"kind": "Status", "code": code, "reason": reason, "message": f"refused with {code}"}, code, **headers)


async def cuts(request: web.Request) -> web.StreamResponse:
    """Closes the connection without a word."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def hangs(request: web.Request) -> web.StreamResponse:
    """Says nothing until the client has gone."""
    await asyncio.sleep(3600)
    return web.Response()


def streams(*parts: bytes | float | str, cut: bool = False) -> Answer:
    """Sends parts one by one: bytes as they are, events as text with a newline, numbers as seconds to wait."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in parts:
            if isinstance(part, (int, float)):
                await asyncio.sleep(part)
            else:
                with suppress(ConnectionResetError):  # the client has left
                    await response.write(part.encode() + b"\n" if isinstance(part, str) else part)
        if cut:
            await asyncio.sleep(0.01)
            assert request.transport is not None
            request.transport.abort()
        return response

    return answer


def a_pod(name: str = "a", version: int = 1, uid: str = "", **labels: str) -> dict[str, Any]:
    """Is a pod as the API server would send it."""
    meta = {
        "name": name,
        "namespace": "n",
        "uid": uid or f"uid-{name}",
        "resourceVersion": str(version),
        "labels": labels,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [{"name": "c"}]}}


def event(kind: str, thing: dict[str, Any]) -> str:
    """Is one line of a watch."""
    return json.dumps({"type": kind, "object": thing})


def bookmark(version: int, *, end: bool = False) -> str:
    """Is a bookmark, or the one that ends a WatchList's beginning."""
    meta: dict[str, Any] = {"resourceVersion": str(version)}
    if end:
        meta["annotations"] = {"k8s.io/initial-events-end": "true"}
    return event("BOOKMARK", {"kind": "Pod", "apiVersion": "v1", "metadata": meta})


def page(*pods: dict[str, Any], version: int = 1, more: str = "") -> dict[str, Any]:
    """Is one page of a list."""
    meta = {"resourceVersion": str(version)} | ({"continue": more} if more else {})
    return {"kind": "PodList", "apiVersion": "v1", "metadata": meta, "items": list(pods)}
