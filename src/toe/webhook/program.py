"""``toe webhook``: reads its flags, follows the cluster, serves reviews and keeps the catalog."""

import argparse
import asyncio
import gc
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime

import msgspec
import structlog
import uvloop

from toe.api.endpoint import checked_endpoint
from toe.api.settings import Settings
from toe.api.surroundings import Surroundings
from toe.api.webhooks import SERVICE
from toe.errors import SettingsError
from toe.kube.access import Access, access_flags, chosen_access
from toe.kube.client import Client
from toe.kube.lifetime import live, stoppable
from toe.kube.log import LOG_LEVELS, configure_log
from toe.kube.metrics import Metrics
from toe.kube.scraping import Scraping
from toe.kube.serving import Certificate, chosen_certificate, service_names, serving_flags
from toe.kube.settings import chosen_settings, settings_flags
from toe.webhook.catalog import CatalogKeeper
from toe.webhook.counters import Counters
from toe.webhook.observe import Observer
from toe.webhook.server import Server

LAST_SECONDS = 2.0
"""How long reviews are still answered after the signal to stop: endpoints take a moment to forget a pod."""

_log = structlog.get_logger(__name__)


def run(arguments: Sequence[str], around: Surroundings, clock: Callable[[], datetime]) -> int:
    """Runs the webhook until SIGTERM or SIGINT; returns the exit status."""
    options = flags().parse_args(arguments)
    configure_log(options.log_level)
    try:
        access = chosen_access(options, around)
        certificate = chosen_certificate(options, service_names(SERVICE, options.system_namespace), clock)
        collector = checked_endpoint(options.collector) if options.collector else ""
        settings = msgspec.structs.replace(chosen_settings(options), collector=collector)
    except SettingsError as error:
        print(f"toe webhook: {error}", file=sys.stderr)
        return 2
    return uvloop.run(_serve(access, settings, certificate, options.port, clock))


async def _serve(
    access: Access, settings: Settings, certificate: Certificate, port: int, clock: Callable[[], datetime]
) -> int:
    metrics = Metrics()
    async with stoppable() as stop, Client(access, observer=metrics.requested) as client:
        keeper = CatalogKeeper(client, settings, clock)
        observer = Observer(client, settings, keeper.wake)

        def missing() -> str:
            if stop.is_set():
                return "told to stop"
            if not observer.live:
                return "the watches are not live"
            if not keeper.has_tried:
                return "the catalog was not looked at yet"
            return certificate.missing()

        metrics.certificate(lambda: certificate.not_after)
        metrics.gauges(
            toe_catalog_is_current=("whether the catalog says what the configs say", lambda: keeper.is_current),
            toe_watches_are_live=("whether this process follows the cluster", lambda: observer.live),
        )

        async with AsyncExitStack() as serving:

            async def last() -> None:
                await asyncio.sleep(LAST_SECONDS)
                await serving.aclose()

            server = Server(observer, settings, clock, missing, Counters(metrics))
            scraping = Scraping(client, metrics.text)
            await serving.enter_async_context(server.listening(port, certificate.context(), scraping))
            _log.info("webhook started", server=access.server, port=port)
            parts = (observer.run(), keeper.run(observer))
            status = await live("webhook", stop, *parts, beside=(_settle(observer),), last=last)
        await observer.close()
        return status


async def _settle(observer: Observer) -> None:
    """Moves everything that lives for good out of the garbage collector's way, once it is here."""
    await observer.synced()
    gc.collect()
    gc.freeze()
    _log.info("caches synced")


def flags() -> argparse.ArgumentParser:
    """Returns the parser of its flags; the reference is made from it."""
    parser = argparse.ArgumentParser(
        prog="toe webhook",
        description="Answers admission reviews of PowerTools and PowerToolConfigs, and keeps the catalog.",
    )
    serving_flags(parser)
    parser.add_argument("--port", type=int, default=8443, help="serves everything there, over TLS (%(default)s)")
    access_flags(parser)
    settings_flags(parser)
    parser.add_argument("--collector", metavar="URL", help="the collector's address, as the controller has it")
    parser.add_argument("--log-level", default="info", choices=LOG_LEVELS, help="the least that is told (%(default)s)")
    return parser
