"""One call to the API server under the one retry policy, and the count of all calls."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from urllib.parse import urlencode

from toe.errors import ClusterError, UnavailableError
from toe.kube.access import Access
from toe.kube.lines import Lines
from toe.kube.status import refusal
from toe.kube.transport import AMBIGUOUS, NEVER_SENT, NOT_LEADING, Transport

Observer = Callable[[str, str, int, float], None]
Params = Mapping[str, str | int | bool]

DEADLINE = 30.0
ATTEMPTS = 5
FIRST_RETRY = 0.1
LONGEST_RETRY = 5.0


class Calls:
    """Sends requests and repeats those that may be repeated; :class:`toe.kube.client.Client` says which and why."""

    def __init__(
        self,
        access: Access,
        *,
        deadline: float,
        connections: int,
        observer: Observer | None,
        permits: Callable[[], bool] | None = None,
    ) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self._server = access.server
        self._deadline = deadline
        self._observer = observer
        self._transport = Transport(access, connections=connections, permits=permits)

    async def close(self) -> None:
        """Closes all connections."""
        await self._transport.close()

    async def stream(
        self, path: str, params: Params | None = None, *, label: str, verb: str = "watch"
    ) -> AsyncGenerator[bytes, None]:
        """Yields the lines of an answer as they come; see :meth:`toe.kube.client.Client.stream`."""
        url = self._url(path, params)
        for attempt in (1, 2):
            start = time.monotonic()
            credential = await self._transport.prepare()
            try:
                async with self._transport.request("GET", url, headers={}, stream=True) as response:
                    if response.status == 200:
                        self._count(verb, label, 200, start)
                        lines = Lines()
                        async for chunk in response.content.iter_any():
                            for line in lines.feed(chunk):
                                yield line
                        if last := lines.rest():
                            yield last
                        return
                    error = refusal(
                        response.status, await response.read(), retry_after=response.headers.get("Retry-After", "")
                    )
            except UnavailableError as lost:
                if lost.status == 0:
                    self._count(verb, label, 0, start)
                raise
            self._count(verb, label, error.status, start)
            if error.status != 401 or attempt == 2:
                raise error
            await self._transport.reload(credential)

    async def send(
        self,
        method: str,
        path: str,
        *,
        verb: str,
        label: str,
        params: Params | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        deadline: float | None = None,
        repeatable: bool = False,
    ) -> bytes:
        """Sends a request under the retry policy and returns the body of a 2xx answer."""
        url = self._url(path, params)
        sent = {"Content-Type": content_type, **(headers or {})} if body is not None else dict(headers or {})
        repeatable = repeatable or method in ("GET", "HEAD")
        ends = time.monotonic() + (self._deadline if deadline is None else deadline)
        reloaded = False
        attempt = 0
        while True:
            attempt += 1
            answer, error = await self._once(method, url, sent, body, ends, verb, label, reload=not reloaded)
            if error is None:
                return answer
            if error.status == 401 and not reloaded:
                reloaded = True
                continue
            pause = _pause(error, attempt)
            if not _may_repeat(error, repeatable) or attempt >= ATTEMPTS or time.monotonic() + pause >= ends:
                raise error
            await asyncio.sleep(pause)

    async def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        ends: float,
        verb: str,
        label: str,
        *,
        reload: bool,
    ) -> tuple[bytes, ClusterError | None]:
        start = time.monotonic()
        code = 0
        try:
            async with asyncio.timeout(ends - start):
                credential = await self._transport.prepare()
                async with self._transport.request(method, url, headers=headers, body=body) as response:
                    answer = await response.read()
                    code = response.status
                    if code < 300:
                        return answer, None
                    error = refusal(code, answer, retry_after=response.headers.get("Retry-After", ""))
                if code == 401 and reload:
                    await self._transport.reload(credential)
                return b"", error
        except TimeoutError:
            return b"", UnavailableError(f"no answer to {method} {label} in time", reason=AMBIGUOUS)
        except UnavailableError as lost:
            return b"", lost
        finally:
            self._count(verb, label, code, start)

    def _count(self, verb: str, label: str, code: int, start: float) -> None:
        self.requests[verb, label, code] += 1
        if self._observer is not None:
            self._observer(verb, label, code, time.monotonic() - start)

    def _url(self, path: str, params: Params | None) -> str:
        url = self._server + path
        if not params:
            return url
        texts = {key: str(value).lower() if isinstance(value, bool) else value for key, value in params.items()}
        return f"{url}?{urlencode(texts)}"


def _may_repeat(error: ClusterError, repeatable: bool) -> bool:
    """Tells whether sending the request again can do no harm: it only reads, or it was refused before being executed.

    429 is flow control's answer, given before the request reaches a handler; a 503 is that only with Retry-After. Other
    5xx may come after the object was stored.
    Source: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/
    """
    if not isinstance(error, UnavailableError) or error.reason == NOT_LEADING:
        return False
    if repeatable:
        return True
    refused = error.status == 429 or (error.status == 503 and error.retry_after is not None)
    return refused or error.reason == NEVER_SENT


def _pause(error: ClusterError, attempt: int) -> float:
    """Is how long to wait before try ``attempt + 1``, in seconds: what the server wishes, else growing and jittered."""
    grown = min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load
    return grown if error.retry_after is None else error.retry_after + grown * 0.5
