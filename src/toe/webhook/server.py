"""The server in front of the judge: reads a review, answers in time or refuses, and never fails.

A refusal is an answer; only what is no review gets a 4xx. There is no 5xx: an error of ours is a refusal that says so.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import structlog
from aiohttp import web

from toe.api.settings import Settings
from toe.errors import DecodeError
from toe.kube.connections import Gate
from toe.kube.scraping import Scraping
from toe.kube.serving import Listener
from toe.webhook.counters import Counters
from toe.webhook.judge import judge_run, judge_written_config, read_run, stamp
from toe.webhook.observe import Observer
from toe.webhook.review import MAX_BYTES, Answer, Review, read_review, refuse, write_answer

SHARE = 0.6
"""Of the API server's timeout: what is left is the way back."""
DEFAULT_TIMEOUT = 10.0
LONGEST_TIMEOUT = 30.0
CONNECTIONS = 1024
"""Open at the same time; API servers keep a few each."""
ASKING = 0.8
"""Of the time that is left: how long questions about rights may take."""

Judge = Callable[[Review, float], Awaitable[Answer]]
_log = structlog.get_logger(__name__)


class Server:
    """Answers ``/validate-powertool``, ``/validate-powertoolconfig`` and ``/mutate-powertool``."""

    def __init__(
        self,
        observer: Observer,
        settings: Settings,
        clock: Callable[[], datetime],
        missing: Callable[[], str],
        counters: Counters,
    ) -> None:
        """``missing`` says why we are not ready; empty: we are."""
        self._observer = observer
        self._settings = settings
        self._clock = clock
        self._missing = missing
        self._counters = counters

    def application(self) -> web.Application:
        """Returns the application to serve."""
        application = web.Application(client_max_size=MAX_BYTES + 1)
        application.add_routes(
            [
                web.post("/validate-powertool", self._answering(self._validate_run)),
                web.post("/validate-powertoolconfig", self._answering(self._validate_config)),
                web.post("/mutate-powertool", self._answering(self._mutate_run)),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
            ]
        )
        return application

    @asynccontextmanager
    async def listening(
        self, port: int, context: ssl.SSLContext | None, scraping: Scraping | None = None
    ) -> AsyncIterator[int]:
        """Listens on all addresses inside of the block, and yields the port; answers in flight end before it."""
        gate = Gate(CONNECTIONS, CONNECTIONS)  # an API server is one address, or a few
        application = self.application()
        if scraping is not None:
            scraping.add_to(application)
        async with Listener(application, connect=gate.connect).listening(port, context) as listening:
            yield listening

    def _answering(self, judge: Judge) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            loop = asyncio.get_running_loop()
            began = loop.time()
            response, outcome = await self._answer(judge, request, began + SHARE * _timeout(request))
            self._counters.answered(request.path, outcome, loop.time() - began)
            return response

        return answer

    async def _answer(self, judge: Judge, request: web.Request, until: float) -> tuple[web.Response, str]:
        """Returns the answer before ``until``, on the loop's clock, and what it is counted as."""
        try:
            async with asyncio.timeout_at(until):
                body = await request.read()
            review = read_review(body)
        except DecodeError as error:
            return web.Response(status=400, text=f"{error}\n"), "bad"
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=413, text=f"a review has at most {MAX_BYTES} bytes\n"), "bad"
        except TimeoutError:
            return web.Response(status=408, text="the review did not arrive in time\n"), "bad"
        except Exception as error:  # cut off, wrongly compressed, wrongly chunked
            return web.Response(status=400, text=f"the review cannot be read: {type(error).__name__}\n"), "bad"
        found = await self._judged(judge, review, until)
        body = write_answer(review.uid, found)
        return web.Response(body=body, content_type="application/json"), "allowed" if found.allowed else "refused"

    async def _judged(self, judge: Judge, review: Review, until: float) -> Answer:
        try:
            async with asyncio.timeout_at(until):
                return await judge(review, ASKING * (until - asyncio.get_running_loop().time()))
        except TimeoutError:
            return refuse(["toe could not judge this in time: try again"])
        except Exception:
            _log.exception("a review could not be judged", uid=review.uid, name=review.name)
            return refuse(["toe could not judge this: see the log of its webhook"])

    async def _validate_run(self, review: Review, seconds: float) -> Answer:
        if review.operation != "CREATE":
            return Answer(allowed=True)  # only cancel can change, and the schema guards it
        if not self._observer.live:
            return refuse(["toe's view of the cluster is stale: try again"])
        run = read_run(review)
        if isinstance(run, Answer):
            return run
        return judge_run(await self._observer.request(run, self._clock(), seconds), review.user_info)

    async def _validate_config(self, review: Review, seconds: float) -> Answer:
        if review.operation not in ("CREATE", "UPDATE"):
            return Answer(allowed=True)
        if not self._observer.configs.is_synced:
            return refuse(["toe does not know the other configs yet: try again"])
        return judge_written_config(review, self._observer.configs.list(), self._settings, self._clock())

    async def _mutate_run(self, review: Review, seconds: float) -> Answer:
        return stamp(review) if review.operation == "CREATE" else Answer(allowed=True)

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        missing = self._missing()
        return web.Response(status=503, text=f"{missing}\n") if missing else web.Response(text="ok\n")


def _timeout(request: web.Request) -> float:
    """Returns the API server's timeout in seconds: it tells it in the query (``timeout=5s``)."""
    text = request.query.get("timeout", "").removesuffix("s")
    try:
        return min(max(float(text), 0.1), LONGEST_TIMEOUT)
    except ValueError:
        return DEFAULT_TIMEOUT
