"""``toe controller``: reads its flags, connects, and reconciles until it is told to stop."""

import argparse
import asyncio
import gc
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import structlog
import uvloop
from aiohttp import web

from toe.api.endpoint import checked_endpoint
from toe.api.fence.policy import CONTROLLER
from toe.api.settings import Settings
from toe.api.surroundings import Surroundings
from toe.api.time import parse_duration
from toe.controller.probes import serve_probes
from toe.controller.reconcile import WORKERS, Controller
from toe.controller.tickets import TicketKey
from toe.errors import SettingsError
from toe.kube.access import Access, access_flags, chosen_access
from toe.kube.client import Client
from toe.kube.connections import Gate
from toe.kube.lease import DURATION, Election
from toe.kube.lifetime import live, stoppable
from toe.kube.log import LOG_LEVELS, configure_log
from toe.kube.metrics import Metrics
from toe.kube.scraping import Scraping
from toe.kube.serving import Certificate, Listener, chosen_certificate, service_names, serving_flags
from toe.kube.settings import chosen_settings, settings_flags

SCRAPERS = 32
"""Connections for metrics at the same time."""

_log = structlog.get_logger(__name__)
_DURATIONS = {
    "--start-deadline": ("5m", "how long a run may wait to start"),
    "--start-error-allowance": ("2m", "how long a tool may fail to start with an error from the kubelet"),
    "--start-allowance": ("10m", "how long a tool may take to start without one"),
}


_CAPS = (
    ("--max-active-runs", Settings().max_active_runs, "runs of a namespace that hold pods at the same time"),
    ("--max-injections-per-minute", Settings().max_injections_per_minute, "containers that are added in a minute"),
)


def run(arguments: Sequence[str], around: Surroundings, clock: Callable[[], datetime]) -> int:
    """Runs the controller until SIGTERM or SIGINT; returns the exit status."""
    options = flags().parse_args(arguments)
    configure_log(options.log_level)
    try:
        access, settings, lease = chosen_access(options, around), _settings(options), _lease_seconds(options)
        key = TicketKey(options.ticket_key) if options.ticket_key else None
        names = service_names(CONTROLLER, settings.system_namespace)
        certificate = chosen_certificate(options, names, clock) if options.metrics_port else None
    except SettingsError as error:
        print(f"toe controller: {error}", file=sys.stderr)
        return 2
    return uvloop.run(_serve(access, settings, options, clock, key, lease, certificate))


async def _serve(
    access: Access,
    settings: Settings,
    options: argparse.Namespace,
    clock: Callable[[], datetime],
    key: TicketKey | None,
    lease_seconds: int,
    certificate: Certificate | None,
) -> int:
    async with AsyncExitStack() as stack:
        stop = await stack.enter_async_context(stoppable())
        election = None
        if options.leader_elect:
            asking = await stack.enter_async_context(Client(access, connections=2))  # never behind the work's requests
            name, namespace = options.lease_name, settings.system_namespace
            election = Election(asking, namespace, name, _identity(options), clock, duration=lease_seconds)
        permits = election.holds if election is not None else None
        metrics = Metrics()
        metrics.gauges(toe_leads=("whether this process is the one that works", permits or (lambda: True)))
        client = await stack.enter_async_context(Client(access, permits=permits, observer=metrics.requested))
        sign = key.sign if key else None
        controller = Controller(client, settings, clock, fenced_pod=options.fenced_pod, sign=sign, metrics=metrics)
        is_live = lambda: controller.caches.live and not stop.is_set()  # noqa: E731 asked at each probe
        if options.health_port:
            probes = await serve_probes(options.health_port, is_live)
            stack.push_async_callback(probes.cleanup)
        if certificate is not None:
            await stack.enter_async_context(_scraped(access, metrics, certificate, options.metrics_port))
        _log.info("controller started", server=access.server, system_namespace=settings.system_namespace)
        synced = asyncio.Event()
        leads = election.won if election is not None else None
        parts = [controller.run(workers=options.workers, ready=lambda: _ready(synced), leads=leads)]
        if election is not None:
            parts.append(_stand(election, synced))
        is_drained = False

        async def last() -> None:
            nonlocal is_drained
            is_drained = await controller.drain()

        status = await live("controller", stop, *parts, last=last)
        if election is not None and is_drained:  # else a write may be under way yet: the Lease has to run out
            await election.release()
        return status


@asynccontextmanager
async def _scraped(access: Access, metrics: Metrics, certificate: Certificate, port: int) -> AsyncIterator[None]:
    """Serves what is counted; who asks is found out by a client of its own, also while another process leads."""
    metrics.certificate(lambda: certificate.not_after)
    async with Client(access, connections=2) as client:
        application = web.Application(client_max_size=1024)
        Scraping(client, metrics.text).add_to(application)
        listener = Listener(application, connect=Gate(SCRAPERS, SCRAPERS).connect)
        async with listener.listening(port, certificate.context()):
            yield


def _identity(options: argparse.Namespace) -> str:
    """Returns a name that no other process has: a pod whose container is started anew keeps its own."""
    return f"{options.identity or options.fenced_pod or 'toe-controller'}_{secrets.token_hex(4)}"


async def _stand(election: Election, synced: asyncio.Event) -> None:
    """Takes part once everything is here: who cannot read the cluster leads nobody."""
    await synced.wait()
    await election.run()


def _ready(synced: asyncio.Event) -> None:
    """Says so, and moves everything that lives for good out of the garbage collector's way."""
    gc.collect()
    gc.freeze()
    _log.info("caches synced")
    synced.set()


def flags() -> argparse.ArgumentParser:
    """Returns the parser of its flags; the reference is made from it."""
    parser = argparse.ArgumentParser(
        prog="toe controller",
        description="Runs the operator: injects tools as PowerTools ask for and PowerToolConfigs permit.",
    )
    access_flags(parser)
    settings_flags(parser)
    for flag, (default, meaning) in _DURATIONS.items():
        parser.add_argument(flag, default=default, metavar="DURATION", help=f"{meaning}; default: {default}")
    parser.add_argument("--max-containers-per-pod", type=int, default=16, help="tool containers over a pod's life")
    for flag, most, meaning in _CAPS:
        parser.add_argument(flag, type=int, default=most, metavar="NUMBER", help=f"{meaning}; default: {most}")
    parser.add_argument("--workers", type=int, default=WORKERS, help="passes in flight")
    parser.add_argument(
        "--fenced-pod", metavar="POD", help="our own pod's name: inject only while the API server's fence is in force"
    )
    parser.add_argument(
        "--collector",
        metavar="URL",
        help="https://HOST[:PORT] at which tools reach the collector; default: there is none",
    )
    parser.add_argument("--collector-ca", type=Path, metavar="FILE", help="certificates it is trusted by, in PEM")
    parser.add_argument("--ticket-key", type=Path, metavar="FILE", help="Ed25519 key that signs tickets, in PEM")
    parser.add_argument(
        "--leader-elect", action="store_true", help="work only while this process holds the Lease; others stand by"
    )
    parser.add_argument(
        "--identity", metavar="NAME", help="begins our name in the Lease; default: that of --fenced-pod"
    )
    parser.add_argument("--lease-name", default="toe-controller", metavar="NAME", help="of the Lease (%(default)s)")
    parser.add_argument(
        "--lease-duration",
        default=f"{DURATION:.0f}s",
        metavar="DURATION",
        help="how long after the last renewal another one takes over; work stops after two thirds of it (%(default)s)",
    )
    parser.add_argument(
        "--metrics-port", type=int, help="serves /metrics over TLS there, to who has the right; default: nowhere"
    )
    serving_flags(parser)
    parser.add_argument("--health-port", type=int, help="serves /healthz and /readyz there; default: nowhere")
    parser.add_argument("--log-level", default="info", choices=LOG_LEVELS, help="the least that is told (%(default)s)")
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    durations = {flag: _duration(flag, getattr(options, flag[2:].replace("-", "_"))) for flag in _DURATIONS}
    if options.workers < 1:
        raise SettingsError(f"--workers {options.workers}: at least 1 is wanted")
    if not 1 <= options.max_containers_per_pod <= 32:
        raise SettingsError(f"--max-containers-per-pod {options.max_containers_per_pod}: 1 to 32 is wanted")
    for flag, _, _ in _CAPS:
        if (number := getattr(options, flag[2:].replace("-", "_"))) < 1:
            raise SettingsError(f"{flag} {number}: at least 1 is wanted")
    collector, authority = _collector(options)
    return msgspec.structs.replace(
        chosen_settings(options),
        collector=collector,
        collector_ca=authority,
        start_deadline=durations["--start-deadline"],
        start_error_allowance=durations["--start-error-allowance"],
        start_allowance=durations["--start-allowance"],
        max_containers_per_pod=options.max_containers_per_pod,
        max_active_runs=options.max_active_runs,
        max_injections_per_minute=options.max_injections_per_minute,
    )


def _collector(options: argparse.Namespace) -> tuple[str, str]:
    """Returns the collector's address and what it is trusted by; all three flags or none."""
    given = [options.collector, options.collector_ca, options.ticket_key]
    if not any(given):
        return "", ""
    if not all(given):
        raise SettingsError("--collector, --collector-ca and --ticket-key belong together: give all three or none")
    try:
        authority = options.collector_ca.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise SettingsError(f"--collector-ca {options.collector_ca}: {error}") from None
    if "-----BEGIN CERTIFICATE-----" not in authority or "PRIVATE KEY" in authority:
        raise SettingsError(f"--collector-ca {options.collector_ca}: certificates in PEM are wanted, and no key")
    return checked_endpoint(options.collector), authority


def _lease_seconds(options: argparse.Namespace) -> int:
    """Returns how long the Lease lasts; the API keeps whole seconds."""
    seconds = _duration("--lease-duration", options.lease_duration).total_seconds()
    if seconds < 3 or seconds != int(seconds):
        raise SettingsError(f"--lease-duration {options.lease_duration}: whole seconds, at least 3s, are wanted")
    return int(seconds)


def _duration(flag: str, text: str) -> timedelta:
    duration = parse_duration(text)
    if duration is None or duration.total_seconds() < 1:
        raise SettingsError(f"{flag} {text!r}: a duration of at least 1s such as 5m is wanted")
    return duration
