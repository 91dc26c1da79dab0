"""The server in front of the judge: reads a review, answers in time or refuses, and never fails.

A refusal is an answer; only what is no review gets a 4xx. There is no 5xx: an error of ours is a refusal that says so.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog
from aiohttp import web

from toe.api.settings import Settings
from toe.errors import DecodeError
from toe.webhook.judge import judge_run, judge_written_config, read_run, stamp
from toe.webhook.observe import Observer
from toe.webhook.review import MAX_BYTES, Answer, Review, read_review, refuse, write_answer

SHARE = 0.6
"""Of the API server's timeout: what is left is the way back."""
DEFAULT_TIMEOUT = 10.0
LONGEST_TIMEOUT = 30.0

Judge = Callable[[Review], Awaitable[Answer]]
_log = structlog.get_logger(__name__)


class Server:
    """Answers ``/validate-powertool``, ``/validate-powertoolconfig`` and ``/mutate-powertool``."""

    def __init__(
        self, observer: Observer, settings: Settings, clock: Callable[[], datetime], is_ready: Callable[[], bool]
    ) -> None:
        self._observer = observer
        self._settings = settings
        self._clock = clock
        self._is_ready = is_ready

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

    def _answering(self, judge: Judge) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            deadline = SHARE * _timeout(request)
            try:
                async with asyncio.timeout(deadline):
                    review = read_review(await request.read())
            except DecodeError as error:
                return web.Response(status=400, text=f"{error}\n")
            except web.HTTPRequestEntityTooLarge:
                return web.Response(status=413, text=f"a review has at most {MAX_BYTES} bytes\n")
            except TimeoutError:
                return web.Response(status=408, text="the review did not arrive in time\n")
            found = await self._judged(judge, review, deadline)
            return web.Response(body=write_answer(review.uid, found), content_type="application/json")

        return answer

    async def _judged(self, judge: Judge, review: Review, deadline: float) -> Answer:
        try:
            async with asyncio.timeout(deadline):
                return await judge(review)
        except TimeoutError:
            return refuse(["toe could not judge this in time: try again"], code=500)
        except Exception:
            _log.exception("a review could not be judged", uid=review.uid, name=review.name)
            return refuse(["toe could not judge this: see the log of its webhook"], code=500)

    async def _validate_run(self, review: Review) -> Answer:
        if review.operation != "CREATE":
            return Answer(allowed=True)  # only cancel can change, and the schema guards it
        if not self._observer.live:
            return refuse(["toe's view of the cluster is stale: try again"], code=500)
        run = read_run(review)
        if isinstance(run, Answer):
            return run
        return judge_run(await self._observer.request(run, self._clock()), review.user_info)

    async def _validate_config(self, review: Review) -> Answer:
        if review.operation not in ("CREATE", "UPDATE"):
            return Answer(allowed=True)
        return judge_written_config(review, self._observer.configs.list(), self._settings)

    async def _mutate_run(self, review: Review) -> Answer:
        return stamp(review) if review.operation == "CREATE" else Answer(allowed=True)

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n") if self._is_ready() else web.Response(status=503, text="not ready\n")


def _timeout(request: web.Request) -> float:
    """Returns the API server's timeout in seconds: it tells it in the query (``timeout=5s``)."""
    text = request.query.get("timeout", "").removesuffix("s")
    try:
        return min(max(float(text), 0.1), LONGEST_TIMEOUT)
    except ValueError:
        return DEFAULT_TIMEOUT
