"""Stands between a controller and the API server, counts the controller's writes, and kills it at one of them.

A crash may come before a write was sent or after it was stored and before its answer arrived; the second is the one
that a client cannot tell from the first. Source: Sieve, OSDI 2022 ("intermediate states").
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import aiohttp
import yaml
from aiohttp import web

from tests.cluster.program import Program
from tests.cluster.rest import Rest

Moment = Literal["before", "after"]
_OWN = ("host", "content-length", "transfer-encoding", "connection", "accept-encoding")


@dataclass(frozen=True)
class Shot:
    """Is the write at which the controller dies, counted from 0, and on which side of it."""

    number: int
    moment: Moment
    of: str = ""
    """Counts only writes with this in their path or body."""


class Assassin:
    """Forwards everything; ``victim`` dies at ``shot``. Writes are what changes something: no GET, no access review."""

    def __init__(self, rest: Rest, place: Path) -> None:
        self._server, self._trust = rest.server, rest.trust
        self.kubeconfig = place / "through-the-assassin.kubeconfig"
        self.victim: Program | None = None
        self.shot: Shot | None = None
        self.writes: list[str] = []
        self.has_fired = False
        self._count = 0

    def aim(self, shot: Shot | None) -> None:
        """Counts anew; the victim is whom ``victim`` names when the moment comes."""
        self.shot, self.writes, self.has_fired, self._count = shot, [], False, 0

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, ssl=self._trust)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            skip_auto_headers=("Accept-Encoding",),  # Kubernetes 1.37 compresses watches too
        )
        application = web.Application(client_max_size=1 << 26)
        application.router.add_route("*", "/{path:.*}", self._handle)
        # Where the victim's connection is gone, so is its watch.
        self._runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": f"http://{host}:{port}"}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "users": [{"name": "it", "user": {}}],
        }
        self.kubeconfig.write_text(yaml.safe_dump(config))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        number = self._number(request, body)
        if self._is_hit(number, "before"):
            self._fire()
            return web.Response(status=502)  # nobody is there to read it, and nothing was forwarded
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _OWN}
        url = self._server + request.raw_path
        async with self._session.request(request.method, url, headers=headers, data=body or None) as answer:
            if self._is_hit(number, "after"):
                await answer.read()
                self._fire()
                return web.Response(status=502)
            forwarded = web.StreamResponse(status=answer.status)
            for key in ("Content-Type", "Retry-After"):
                if key in answer.headers:
                    forwarded.headers[key] = answer.headers[key]
            await forwarded.prepare(request)
            async for chunk in answer.content.iter_any():
                await forwarded.write(chunk)
            await forwarded.write_eof()
            return forwarded

    def _number(self, request: web.Request, body: bytes) -> int | None:
        """Counts a write that the shot is about."""
        if request.method == "GET" or request.path.endswith("accessreviews"):
            return None
        self.writes.append(f"{request.method} {request.path}")
        if self.shot is None or self.shot.of not in request.path + body.decode():
            return None
        self._count += 1
        return self._count - 1

    def _is_hit(self, number: int | None, moment: Moment) -> bool:
        shot = self.shot
        return shot is not None and not self.has_fired and (shot.number, shot.moment) == (number, moment)

    def _fire(self) -> None:
        assert self.victim is not None
        self.has_fired = True
        self.victim.shoot()
