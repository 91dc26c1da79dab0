"""The API server as tests see it: plain dictionaries, no code of the product.

A test waits with :meth:`Rest.until`, which watches; nothing sleeps in the hope that something has happened meanwhile.
"""

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
import yaml

Object = dict[str, Any]

GROUP = "codriverlabs.ai.toe.run/v1alpha1"
USER_AGENT = "tests"


class RefusedError(Exception):
    """Is an answer other than 2xx; ``status`` is the HTTP status, the text is the server's message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


def pods(namespace: str, name: str = "", subresource: str = "") -> str:
    """Is the path of a namespace's pods, of one of them, or of a part of it."""
    return _path(f"/api/v1/namespaces/{namespace}/pods", name, subresource)


def runs(namespace: str, name: str = "", subresource: str = "") -> str:
    """Is the path of a namespace's PowerTools, of one of them, or of a part of it."""
    return _path(f"/apis/{GROUP}/namespaces/{namespace}/powertools", name, subresource)


def configs(name: str = "", namespace: str = "toe-system") -> str:
    """Is the path of the PowerToolConfigs, or of one of them."""
    return _path(f"/apis/{GROUP}/namespaces/{namespace}/powertoolconfigs", name)


def _path(*parts: str) -> str:
    return "/".join(part for part in parts if part)


class Rest:
    """Sends requests to one API server; use it as ``async with Rest.of(kubeconfig) as rest``."""

    def __init__(self, server: str, trust: ssl.SSLContext) -> None:
        self.server = server
        self.trust = trust
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=trust),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            headers={"User-Agent": USER_AGENT},
            read_bufsize=1 << 20,
        )
        self._turns = asyncio.Semaphore(32)

    @classmethod
    def of(cls, kubeconfig: Path) -> Self:
        """Reads a kubeconfig with everything in it."""
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        trust = ssl.create_default_context(cadata=_decode(cluster["certificate-authority-data"]))
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(_decode(user["client-certificate-data"]) + _decode(user["client-key-data"]))
            file.flush()
            trust.load_cert_chain(file.name)
        return cls(cluster["server"], trust)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, path: str, **params: Any) -> Object:
        """Reads an object or a list."""
        return json.loads(await self.send("GET", path, params))

    async def text(self, path: str, **params: Any) -> str:
        """Reads something that is no object, such as a log."""
        return (await self.send("GET", path, params)).decode()

    async def create(self, path: str, obj: Object, **params: Any) -> Object:
        """Creates an object in a collection."""
        return json.loads(await self.send("POST", path, params, obj))

    async def ensure(self, path: str, obj: Object) -> None:
        """Creates an object unless there is one of its name."""
        try:
            await self.create(path, obj)
        except RefusedError as refused:
            if refused.status != 409:
                raise

    async def apply(self, path: str, obj: Object) -> Object:
        """Makes the object of this path as written, whether it is there or not."""
        params = {"fieldManager": USER_AGENT, "force": "true"}
        return json.loads(await self.send("PATCH", path, params, obj, "application/apply-patch+yaml"))

    async def merge(self, path: str, change: Object) -> Object:
        """Changes an object by a merge patch."""
        return json.loads(await self.send("PATCH", path, {}, change, "application/merge-patch+json"))

    async def delete(self, path: str, *, grace: int | None = None) -> None:
        """Deletes an object or a whole collection; what is not there is fine."""
        try:
            await self.send("DELETE", path, {} if grace is None else {"gracePeriodSeconds": grace})
        except RefusedError as refused:
            if refused.status != 404:
                raise

    async def send(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any],
        body: Object | None = None,
        kind: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Sends one request; one that flow control put off is sent again."""
        url = f"{self.server}{path}?{urlencode(params)}"
        headers = {"Content-Type": kind or "application/json", **(headers or {})}
        data = None if body is None else json.dumps(body)
        while True:
            async with self._turns, self._session.request(method, url, data=data, headers=headers) as answer:
                content = await answer.read()
                if answer.status < 300:
                    return content
                if answer.status != 429:
                    raise RefusedError(answer.status, _message(content))
            await asyncio.sleep(0.2)  # what flow control asks for

    async def watch(self, path: str, version: str, **params: Any) -> AsyncIterator[tuple[str, Object]]:
        """Yields what happens to a collection after ``version``, for as long as somebody listens."""
        query = urlencode({"watch": "true", "resourceVersion": version, "timeoutSeconds": 3000, **params})
        rest = b""
        async with self._session.get(f"{self.server}{path}?{query}") as answer:
            if answer.status != 200:
                raise RefusedError(answer.status, _message(await answer.read()))
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    yield event["type"], event["object"]

    async def until(self, path: str, accept: Callable[[Object], bool], *, seconds: float = 60.0) -> Object:
        """Waits until the object of this path is acceptable, and returns it; tells how it was when time ran out."""
        collection, _, name = path.rpartition("/")
        only = {"fieldSelector": f"metadata.name={name}"}
        seen: Object = {}
        try:
            async with asyncio.timeout(seconds):
                found = await self.get(collection, **only)
                for seen in found["items"]:
                    if accept(seen):
                        return seen
                async with aclosing(self.watch(collection, found["metadata"]["resourceVersion"], **only)) as events:
                    async for kind, obj in events:
                        seen = obj
                        if kind != "DELETED" and accept(obj):
                            return obj
        except TimeoutError:
            pass
        raise AssertionError(f"{path} is not as expected after {seconds} s: {json.dumps(seen.get('status'), indent=1)}")

    async def until_gone(self, path: str, *, seconds: float = 60.0) -> None:
        """Waits until there is no object at this path any more."""
        collection, _, name = path.rpartition("/")
        only = {"fieldSelector": f"metadata.name={name}"}
        async with asyncio.timeout(seconds):
            found = await self.get(collection, **only)
            if not found["items"]:
                return
            async with aclosing(self.watch(collection, found["metadata"]["resourceVersion"], **only)) as events:
                async for kind, _ in events:
                    if kind == "DELETED":
                        return

    async def namespace(self, name: str, labels: Mapping[str, str] | None = None) -> str:
        """Makes a namespace in which pods can be made at once, also where no controller makes service accounts."""
        metadata = {"name": name, "labels": dict(labels or {})}
        await self.ensure("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        await self.ensure(f"/api/v1/namespaces/{name}/serviceaccounts", account)
        return name


def condition(obj: Object, kind: str) -> str:
    """Is the status of a condition, empty where it has none."""
    found = obj.get("status", {}).get("conditions") or ()
    return next((entry["status"] for entry in found if entry["type"] == kind), "")


def reason(obj: Object, kind: str) -> tuple[str, str]:
    """Is the reason and message of a condition."""
    found = obj.get("status", {}).get("conditions") or ()
    return next(((entry["reason"], entry["message"]) for entry in found if entry["type"] == kind), ("", ""))


def is_finished(run: Object) -> bool:
    """Tells whether a run is terminal."""
    return condition(run, "Finished") == "True"


def phase(run: Object) -> str:
    """Is the phase of a run, empty before the first status."""
    return run.get("status", {}).get("phase", "")


def tools_in(pod: Object) -> list[Object]:
    """Lists the tool containers that a pod has, oldest last as the API server keeps them."""
    return [c for c in pod["spec"].get("ephemeralContainers") or () if c["name"].startswith("toe-")]


def _message(content: bytes) -> str:
    try:
        return json.loads(content)["message"]
    except (ValueError, KeyError):
        return content.decode(errors="replace")


def _decode(text: str) -> str:
    return base64.b64decode(text).decode()
