"""``toe webhook``: reads its flags, follows the cluster, serves reviews and keeps the catalog."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import structlog
import uvloop
from aiohttp import web

from toe.api.settings import PROFILES, Settings
from toe.api.surroundings import Surroundings
from toe.errors import SettingsError
from toe.kube.access import Access, from_kubeconfig, in_cluster
from toe.kube.client import Client
from toe.kube.log import LOG_LEVELS, configure_log
from toe.webhook.catalog import CatalogKeeper
from toe.webhook.certificates import Certificate
from toe.webhook.observe import Observer
from toe.webhook.server import Server

_log = structlog.get_logger(__name__)


def run(arguments: Sequence[str], around: Surroundings, clock: Callable[[], datetime]) -> int:
    """Runs the webhook until SIGTERM or SIGINT; returns the exit status."""
    options = _options(arguments)
    configure_log(options.log_level)
    try:
        access = _access(options, around)
        certificate = Certificate(options.tls_cert, options.tls_key)
    except SettingsError as error:
        print(f"toe webhook: {error}", file=sys.stderr)
        return 2
    settings = msgspec.structs.replace(PROFILES[options.profile], system_namespace=options.system_namespace)
    return uvloop.run(_serve(access, settings, certificate, options.port, clock))


async def _serve(
    access: Access, settings: Settings, certificate: Certificate, port: int, clock: Callable[[], datetime]
) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Client(access) as client:
        keeper = CatalogKeeper(client, settings)
        observer = Observer(client, settings, keeper.wake)
        server = Server(observer, settings, clock, lambda: observer.live and keeper.is_current)
        runner = web.AppRunner(server.application(), access_log=None, handle_signals=False)
        await runner.setup()
        await web.TCPSite(runner, port=port, ssl_context=certificate.context()).start()
        work = [asyncio.create_task(observer.run()), asyncio.create_task(keeper.run(observer))]
        told = asyncio.create_task(stop.wait())
        _log.info("webhook started", server=access.server, port=port)
        await asyncio.wait((*work, told), return_when=asyncio.FIRST_COMPLETED)
        failed = next((task for task in work if task.done()), None)
        await runner.cleanup()
        for task in (*work, told):
            task.cancel()
        await asyncio.gather(*work, told, return_exceptions=True)
        if failed is not None:
            _log.error("webhook failed", error=repr(failed.exception()))
            return 1
        return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="toe webhook",
        description="Answers admission reviews of PowerTools and PowerToolConfigs, and keeps the catalog.",
    )
    parser.add_argument("--tls-cert", type=Path, required=True, help="certificate, loaded again when it changes")
    parser.add_argument("--tls-key", type=Path, required=True, help="its key")
    parser.add_argument("--port", type=int, default=8443)
    parser.add_argument("--kubeconfig", type=Path, help="default: the pod's service account, else $KUBECONFIG")
    parser.add_argument("--context", help="context of the kubeconfig")
    parser.add_argument("--system-namespace", default="toe-system", help="the only namespace PowerToolConfigs count in")
    parser.add_argument("--profile", default="standard", choices=tuple(PROFILES), help="settings of rights and fence")
    parser.add_argument("--log-level", default="info", choices=LOG_LEVELS)
    return parser.parse_args(arguments)


def _access(options: argparse.Namespace, around: Surroundings) -> Access:
    host = around.environment.get("KUBERNETES_SERVICE_HOST", "")
    if host and options.kubeconfig is None:
        return in_cluster(host=host, port=around.environment.get("KUBERNETES_SERVICE_PORT", "443"))
    paths = [options.kubeconfig] if options.kubeconfig else [Path(path) for path in around.kubeconfig]
    return from_kubeconfig(paths, context=options.context, environment=around.environment)
