"""An API server that knows runs and configs and nothing else: what ``toe collector`` follows."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from aiohttp import web

from tests.builders import config_manifest, merged, powertool_manifest

Object = dict[str, Any]
GROUP = "/apis/codriverlabs.ai.toe.run/v1alpha1"
KINDS = {"powertools": "PowerTool", "powertoolconfigs": "PowerToolConfig"}


class ToyApi:
    """Lists and watches runs and configs, remembers events, and knows whose the token ``scraper`` is."""

    def __init__(self) -> None:
        self.events: list[Object] = []
        self.is_away = False
        """Whether requests get no answer but 503, and watches end."""
        self._version = 1
        self._objects: dict[str, dict[tuple[str, str], Object]] = {kind: {} for kind in KINDS}
        self._story: list[tuple[int, str, str, Object]] = []
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()
        await self._runner.cleanup()

    def kubeconfig(self, place: Path) -> Path:
        """Writes a kubeconfig that leads here."""
        found = place / "kubeconfig"
        found.write_text(
            yaml.safe_dump(
                {
                    "current-context": "toy",
                    "clusters": [{"name": "toy", "cluster": {"server": self.url}}],
                    "users": [{"name": "toy", "user": {}}],
                    "contexts": [{"name": "toy", "context": {"cluster": "toy", "user": "toy"}}],
                }
            )
        )
        return found

    async def run(self, name: str, namespace: str = "production", **changes: Any) -> Object:
        """Makes or changes a run; its UID is ``uid-`` and its name. Keywords are fields of its spec, or ``status``."""
        status = changes.pop("status", None)
        before = self._objects["powertools"].get((namespace, name)) or powertool_manifest(
            {"name": name, "namespace": namespace, "uid": f"uid-{name}"}
        )
        difference: Object = {"spec": changes} | ({"status": status} if status else {})
        return await self._put("powertools", merged(before, difference))

    async def config(self, tool: str, **changes: Any) -> Object:
        """Makes or changes a config."""
        before = self._objects["powertoolconfigs"].get(("toe-system", tool)) or config_manifest(
            {"name": tool, "uid": f"uid-{tool}"}, name=tool
        )
        return await self._put("powertoolconfigs", merged(before, {"spec": changes}))

    async def delete(self, name: str, namespace: str = "production") -> None:
        """Deletes a run."""
        gone = self._objects["powertools"].pop((namespace, name))
        await self._tell("powertools", "DELETED", gone)

    async def leave(self) -> None:
        """Ends all watches and answers nothing but 503 from now on."""
        self.is_away = True
        async with self._news:
            self._news.notify_all()

    async def _put(self, plural: str, obj: Object) -> Object:
        key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        kind = "MODIFIED" if key in self._objects[plural] else "ADDED"
        self._objects[plural][key] = obj
        return await self._tell(plural, kind, obj)

    async def _tell(self, plural: str, kind: str, obj: Object) -> Object:
        self._version += 1
        told = merged(obj, {"metadata": {"resourceVersion": str(self._version)}})
        key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        if kind != "DELETED":
            self._objects[plural][key] = told  # type: ignore[assignment]
        async with self._news:
            self._story.append((self._version, plural, kind, told))  # type: ignore[arg-type]
            self._news.notify_all()
        return told  # type: ignore[return-value]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.is_away:
            return _refusal(503, "ServiceUnavailable")
        parts = request.path.removeprefix(GROUP).strip("/").split("/")
        if request.path.endswith("/tokenreviews"):
            known = json.loads(await request.read())["spec"]["token"] == "scraper"
            return web.json_response({"status": {"authenticated": known, "user": {"username": "prometheus"}}})
        if request.path.endswith("/subjectaccessreviews"):
            return web.json_response({"status": {"allowed": True}})
        if request.path.endswith("/events"):
            self.events.append(json.loads(await request.read()))
            return web.json_response(self.events[-1], status=201)
        if "/events/" in request.path:
            self.events.append(json.loads(await request.read()))
            return web.json_response({})
        namespace = parts[1] if parts[0] == "namespaces" else None
        plural, *name = parts[2:] if namespace else parts
        if plural not in KINDS:
            return _refusal(404, "NotFound")
        if name:
            found = self._objects[plural].get((namespace or "", name[0]))
            return web.json_response(found) if found else _refusal(404, "NotFound")
        if request.query.get("sendInitialEvents"):
            return _refusal(422, "Invalid")
        if request.query.get("watch"):
            return await self._watch(request, plural)
        items = list(self._objects[plural].values())
        return web.json_response({"kind": "List", "metadata": {"resourceVersion": str(self._version)}, "items": items})

    async def _watch(self, request: web.Request, plural: str) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        after = int(request.query["resourceVersion"])
        with suppress(TimeoutError, ConnectionResetError):
            async with asyncio.timeout(int(request.query["timeoutSeconds"])):
                while not self.is_away:
                    for version, which, kind, obj in list(self._story):
                        if version > after and which == plural:
                            await response.write(json.dumps({"type": kind, "object": obj}).encode() + b"\n")
                    after = max(after, self._version)
                    async with self._news:
                        if self._version == after and not self.is_away:
                            await self._news.wait()
        return response


def _refusal(code: int, reason: str) -> web.Response:
    body = {"kind": "Status", "code": code, "reason": reason, "message": f"refused with {code}"}
    return web.json_response(body, status=code)
