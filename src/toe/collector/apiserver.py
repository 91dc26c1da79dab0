"""``toe apiserver``: serves ``artifacts.toe.run`` behind the API server, and to nobody else.

A process of its own: an APIService that does not answer makes every deletion of a namespace in the cluster hang. For
the same reason it starts, and is Ready, without its store: who lists is told so, and discovery is answered.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime

import structlog
import uvloop
from aiohttp import web

from toe.api.fence.policy import APISERVER
from toe.api.surroundings import Surroundings
from toe.collector.artifacts import Artifacts
from toe.collector.frontproxy import FrontProxy
from toe.collector.opening import OpeningStore
from toe.collector.people import AccessReviews
from toe.errors import SettingsError
from toe.kube.access import Access, access_flags, chosen_access
from toe.kube.client import Client
from toe.kube.connections import Gate
from toe.kube.lifetime import live, stoppable
from toe.kube.log import LOG_LEVELS, configure_log
from toe.kube.metrics import Metrics
from toe.kube.scraping import Scraping
from toe.kube.serving import Certificate, Listener, chosen_certificate, service_names, serving_flags
from toe.store.location import ACCEPTED, open_store

CONNECTIONS = 2048
"""At the same time; all but probes come from one address or three, the API servers'."""
LAST_SECONDS = 5.0
"""How long requests are still taken after the signal to stop: endpoints take a moment to forget a pod."""
LAST_DOWNLOADS_SECONDS = 45.0
"""How long downloads under way may go on then."""

_log = structlog.get_logger(__name__)


def run(arguments: Sequence[str], around: Surroundings, clock: Callable[[], datetime]) -> int:
    """Runs the API until SIGTERM or SIGINT; returns the exit status."""
    options = flags().parse_args(arguments)
    configure_log(options.log_level)
    try:
        access = chosen_access(options, around)
        certificate = chosen_certificate(options, service_names(APISERVER, options.system_namespace), clock)
        front_proxy = FrontProxy(certificate.source, clock)
        place = (options.store, dict(_pair(text) for text in options.store_option or ()))
        return uvloop.run(_serve(access, place, front_proxy, certificate, options.port, clock))
    except SettingsError as error:
        print(f"toe apiserver: {error}", file=sys.stderr)
        return 2


async def _serve(
    access: Access,
    place: tuple[str, dict[str, str]],
    front_proxy: FrontProxy,
    certificate: Certificate,
    port: int,
    clock: Callable[[], datetime],
) -> int:
    store = OpeningStore(lambda: open_store(*place))
    metrics = Metrics()
    async with stoppable() as stop, Client(access, observer=metrics.requested) as client:
        artifacts = Artifacts(store, front_proxy, AccessReviews(client), clock)

        def missing() -> str:
            if stop.is_set():
                return "told to stop"
            if not front_proxy.is_known:
                return "which API server to trust is not known yet"
            return certificate.missing()

        async def last() -> None:
            await asyncio.sleep(LAST_SECONDS)
            await _until_sent(artifacts)
            await serving.aclose()

        metrics.certificate(lambda: certificate.not_after)
        metrics.gauges(
            toe_front_proxy_is_known=("whether it knows which API server to trust", lambda: front_proxy.is_known),
        )
        artifacts.show_in(metrics)
        served = application(artifacts, missing)
        Scraping(client, metrics.text).add_to(served)
        listener = Listener(served, connect=Gate(CONNECTIONS, CONNECTIONS).connect)
        async with AsyncExitStack() as serving:
            await serving.enter_async_context(listener.listening(port, front_proxy.context()))
            _log.info("apiserver started", server=access.server, port=port)
            return await live("apiserver", stop, front_proxy.follow(client), beside=(store.run(),), last=last)


def application(artifacts: Artifacts, missing: Callable[[], str]) -> web.Application:
    """Returns the application to serve; ``missing`` says why it is not ready, and nothing when it is."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        why = missing()
        return web.Response(status=503, text=f"{why}\n") if why else web.Response(text="ok\n")

    made = web.Application(client_max_size=1024)
    made.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz)])
    artifacts.add_to(made)
    return made


async def _until_sent(artifacts: Artifacts) -> None:
    """Waits for the downloads under way, but not for ever."""
    try:
        async with asyncio.timeout(LAST_DOWNLOADS_SECONDS):
            await artifacts.until_idle()
    except TimeoutError:
        _log.warning("downloads are cut: told to stop")


def flags() -> argparse.ArgumentParser:
    """Returns the parser of its flags; the reference is made from it."""
    parser = argparse.ArgumentParser(
        prog="toe apiserver", description="Serves kept files to people, behind the API server (artifacts.toe.run)."
    )
    parser.add_argument("--store", required=True, metavar="LOCATION", help=f"where artifacts are kept: {ACCEPTED}")
    parser.add_argument(
        "--store-option", action="append", metavar="NAME=VALUE", help="of an object store, may be repeated"
    )
    serving_flags(parser)
    parser.add_argument("--system-namespace", default="toe-system", help="where its Service is")
    parser.add_argument("--port", type=int, default=8443, help="serves everything there, over TLS (%(default)s)")
    access_flags(parser)
    parser.add_argument("--log-level", default="info", choices=LOG_LEVELS, help="the least that is told (%(default)s)")
    return parser


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not (name and value):
        raise SettingsError(f"--store-option: NAME=VALUE is wanted, not {name!r}")
    return name, value
