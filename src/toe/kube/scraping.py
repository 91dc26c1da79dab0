"""``/metrics``, for whoever shows a token and has the right: what is counted tells where tools run and how often.

The right is the verb ``get`` on the path ``/metrics``, as for the metrics of Kubernetes itself.
Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable

import msgspec
import structlog
from aiohttp import hdrs, web

from toe.errors import ToeError
from toe.kube.access_review import may_get
from toe.kube.client import Client
from toe.kube.metrics import CONTENT_TYPE
from toe.kube.token_review import bearer, holder

REMEMBERED_SECONDS = 30.0
"""How long a token that was good is not asked about again: also how long a right that was taken away still counts."""
REMEMBERED = 64

PATH = "/metrics"
_log = structlog.get_logger(__name__)


class Scraping:
    """Serves what ``text`` returns, to whoever may see it."""

    def __init__(self, client: Client, text: Callable[[], bytes]) -> None:
        self._client, self._text = client, text
        self._good: OrderedDict[bytes, float] = OrderedDict()
        """Until when a token, by its hash, is known to be good."""

    def add_to(self, application: web.Application) -> None:
        """Serves it there."""
        application.router.add_get(PATH, self.answer)

    async def answer(self, request: web.Request) -> web.Response:
        """Answers one request: 401 without a token that is somebody's, 403 without the right, 503 when nobody says."""
        refused = await self._refused(bearer(request.headers.getall(hdrs.AUTHORIZATION, [])))
        if refused is not None:
            return refused
        return web.Response(body=self._text(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})

    async def _refused(self, token: str) -> web.Response | None:
        now, key = asyncio.get_running_loop().time(), hashlib.sha256(token.encode()).digest()
        if self._good.get(key, 0.0) > now:
            return None
        try:
            user = await holder(self._client, token)
        except ToeError as error:
            _log.warning("whose a token is cannot be found out", error=str(error))
            return web.Response(status=503, text="whose this token is cannot be found out now\n")
        if user is None:
            return web.Response(
                status=401, text="a bearer token is wanted\n", headers={hdrs.WWW_AUTHENTICATE: "Bearer"}
            )
        may = await may_get(self._client, msgspec.to_builtins(user), PATH)
        if may is None:
            return web.Response(status=503, text="whether you may see this cannot be found out now\n")
        if not may:
            return web.Response(status=403, text=f"the verb get on the path {PATH} is wanted\n")
        self._good[key] = now + REMEMBERED_SECONDS
        if len(self._good) > REMEMBERED:
            self._good.popitem(last=False)
        return None
