"""``toe collector``: reads its flags, follows the cluster, and takes what toe-run uploads."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import structlog
import uvloop

from toe.api.quantity import parse_bytes
from toe.api.settings import PROFILES
from toe.api.surroundings import Surroundings
from toe.api.time import parse_duration
from toe.collector.alarm import Alarm
from toe.collector.artifacts import Artifacts
from toe.collector.claims import Claims
from toe.collector.counters import Counters
from toe.collector.holds import Holds
from toe.collector.janitor import Janitor
from toe.collector.partials import Partials
from toe.collector.people import AccessReviews, Bearers
from toe.collector.room import Quotas, Room
from toe.collector.runs import FollowedRuns
from toe.collector.server import Server
from toe.collector.sessions import Sessions
from toe.collector.ticketkeys import TicketKeys
from toe.collector.uploads import Terms, Uploads
from toe.errors import SettingsError
from toe.kube.access import Access, access_flags, chosen_access
from toe.kube.client import Client
from toe.kube.connections import MOST, MOST_OF_ONE, Gate
from toe.kube.events import EventRecorder
from toe.kube.lifetime import live, stoppable
from toe.kube.log import LOG_LEVELS, configure_log
from toe.kube.metrics import Metrics
from toe.kube.scraping import Scraping
from toe.kube.serving import Certificate, Listener, chosen_certificate, service_names, serving_flags
from toe.store.directory import DirectoryStore
from toe.store.location import ACCEPTED, open_store
from toe.store.retention import Retention, Rules

SERVICE = "toe-collector"
COMPONENT = "toe-collector"
THREADS = 8
"""For hashing and for the disk."""
IDLE_SECONDS = 30.0
"""A supervisor renews its lease each 2 s over the same connection."""
LAST_SECONDS = 2.0
"""How long requests are still answered after the signal to stop: endpoints take a moment to forget a pod."""

_log = structlog.get_logger(__name__)


class Plan(NamedTuple):
    """Is what the flags say."""

    store: str
    store_options: dict[str, str]
    scratch: Path
    keys: Path
    port: int
    system_namespace: str
    terms: Terms
    quotas: Quotas
    gate: Gate
    downloads: bool
    rules: Rules
    max_sessions: int

    @property
    def place(self) -> Path | None:
        """Is the directory of a store that is one."""
        return Path(self.store) if self.store.startswith("/") else None


def run(arguments: Sequence[str], around: Surroundings, clock: Callable[[], datetime]) -> int:
    """Runs the collector until SIGTERM or SIGINT; returns the exit status."""
    options = flags().parse_args(arguments)
    configure_log(options.log_level)
    try:
        access = chosen_access(options, around)
        certificate = chosen_certificate(options, service_names(SERVICE, options.system_namespace), clock)
        plan = _plan(options)
        partials = Partials(plan.scratch)
        partials.lock()
    except SettingsError as error:
        print(f"toe collector: {error}", file=sys.stderr)
        return 2
    try:
        return uvloop.run(_serve(access, plan, certificate, partials, clock))
    except SettingsError as error:
        print(f"toe collector: {error}", file=sys.stderr)
        return 2


async def _serve(
    access: Access,
    plan: Plan,
    certificate: Certificate,
    partials: Partials,
    clock: Callable[[], datetime],
) -> int:
    store = await open_store(plan.store, plan.store_options)
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="uploads")
    metrics = Metrics()
    async with stoppable() as stop, Client(access, observer=metrics.requested) as client:
        runs, keys, claims = FollowedRuns(client, plan.system_namespace), TicketKeys(plan.keys), Claims(store)
        recorder = EventRecorder(client, component=COMPONENT)
        room = Room(store, partials, plan.quotas, plan.place)
        sessions = Sessions(store, claims, partials, room, threads, clock)
        uploads = Uploads(store, sessions, partials, room, runs, plan.terms, threads, clock)
        retention, holds = Retention(store, plan.rules), Holds(store, runs)
        janitor = Janitor(sessions, claims, partials, room, clock, retention, uploads.is_over, holds)

        def missing() -> str:
            if stop.is_set():
                return "told to stop"
            if not runs.live:
                return "the watches are not live"
            if not keys.current():
                return "no keys are known to verify tickets with"
            if not janitor.has_surveyed:
                return "what is kept was not counted yet"
            return certificate.missing()

        metrics.certificate(lambda: certificate.not_after)
        metrics.gauges(
            toe_watches_are_live=("whether this process follows the cluster", lambda: runs.live),
            toe_collector_ticket_keys=("keys that tickets are verified with", lambda: len(keys.current())),
            toe_collector_sessions=("supervisors that speak with this replica", lambda: sessions.open),
            toe_collector_connections=("open connections", lambda: plan.gate.open),
            toe_collector_stored_bytes=("bytes of kept files, as this replica has counted them", lambda: room.total),
            toe_collector_free_bytes=("bytes free where files are kept, as last seen", lambda: room.last_free),
        )
        refused = ("toe_collector_connections_refused", "connections beyond the limits")
        unreadable = ("toe_collector_unreadable_requests", "requests that are no HTTP")
        kept = ("toe_collector_files_kept", "files that were kept")
        metrics.counted(*refused, (), lambda: {(): plan.gate.refused})
        metrics.counted(*unreadable, (), lambda: {(): plan.gate.unreadable})
        metrics.counted(*kept, (), lambda: {(): uploads.kept})
        artifacts = Artifacts(store, Bearers(client), AccessReviews(client), clock) if plan.downloads else None
        counters = Counters(metrics)
        server = Server(
            uploads,
            sessions,
            runs,
            keys,
            Alarm(counters, recorder, clock),
            counters,
            clock,
            missing,
            plan.max_sessions,
        )
        application = server.application()
        Scraping(client, metrics.text).add_to(application)
        if artifacts is not None:
            artifacts.add_to(application)
            artifacts.show_in(metrics)
        listener = Listener(application, idle_seconds=IDLE_SECONDS, connect=plan.gate.connect)

        async def last() -> None:
            await asyncio.sleep(LAST_SECONDS)
            if artifacts is not None:
                await artifacts.until_idle()
            await serving.aclose()

        async with AsyncExitStack() as serving:
            port = await serving.enter_async_context(listener.listening(plan.port, certificate.context()))
            _log.info("collector started", server=access.server, port=port, store=plan.store)
            status = await live("collector", stop, *(part.run() for part in (runs, recorder, janitor)), last=last)
    threads.shutdown()
    if isinstance(store, DirectoryStore):
        store.close()
    return status


def _plan(options: argparse.Namespace) -> Plan:
    lease = parse_duration(options.lease)
    if lease is None or lease.total_seconds() < 1:
        raise SettingsError(f"--lease: a duration of at least 1s such as 30s is wanted, not {options.lease!r}")
    for flag in ("retention_days", "max_connections", "max_connections_per_address", "max_sessions"):
        value = getattr(options, flag)
        if value is not None and value < 1:
            raise SettingsError(f"--{flag.replace('_', '-')}: a number of at least 1 is wanted, not {value}")
    return Plan(
        store=options.store,
        store_options=dict(_pair(text) for text in options.store_option or ()),
        scratch=options.scratch,
        keys=options.ticket_keys,
        port=options.port,
        system_namespace=options.system_namespace,
        terms=Terms(
            lease_seconds=lease.total_seconds(),
            retention_days=options.retention_days,
            compares_addresses=options.pod_addresses == "enforce",
        ),
        quotas=Quotas(
            total=_bytes(options.quota_total, "--quota-total") if options.quota_total else None,
            namespace=_bytes(options.quota_namespace, "--quota-namespace") if options.quota_namespace else None,
            low_water=_bytes(options.low_water, "--low-water"),
        ),
        rules=Rules(limit=_bytes(options.retention_limit, "--retention-limit") if options.retention_limit else None),
        gate=Gate(options.max_connections, options.max_connections_per_address),
        max_sessions=options.max_sessions,
        downloads=options.downloads,
    )


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise SettingsError(f"--store-option: NAME=VALUE is wanted, not {name!r}")
    return name, value


def _bytes(text: str, flag: str) -> int:
    size = parse_bytes(text)
    if size is None:
        raise SettingsError(f"{flag}: a number of bytes such as 10Gi is wanted, not {text!r}")
    return size


def flags() -> argparse.ArgumentParser:
    """Returns the parser of its flags; the reference is made from it."""
    parser = argparse.ArgumentParser(
        prog="toe collector", description="Takes what toe-run uploads, keeps it, and holds the leases of its tools."
    )
    parser.add_argument("--store", required=True, metavar="LOCATION", help=f"where artifacts are kept: {ACCEPTED}")
    parser.add_argument(
        "--store-option", action="append", metavar="NAME=VALUE", help="of an object store, may be repeated"
    )
    parser.add_argument(
        "--scratch",
        type=Path,
        required=True,
        metavar="DIR",
        help="for files that are not whole; best on the same volume",
    )
    parser.add_argument(
        "--ticket-keys",
        type=Path,
        required=True,
        metavar="DIR",
        help="public keys KID.pem that tickets are verified with, loaded again when they change",
    )
    serving_flags(parser)
    parser.add_argument("--port", type=int, default=8443, help="serves everything there, over TLS (%(default)s)")
    access_flags(parser)
    parser.add_argument("--system-namespace", default="toe-system", help="the only namespace PowerToolConfigs count in")
    parser.add_argument("--profile", default="standard", choices=tuple(PROFILES), help="as the controller has it")
    parser.add_argument("--quota-total", metavar="SIZE", help="of all files together; default: none")
    parser.add_argument("--quota-namespace", metavar="SIZE", help="of the files of a namespace; default: none")
    parser.add_argument("--low-water", default="256Mi", metavar="SIZE", help="stays free whatever comes (%(default)s)")
    parser.add_argument(
        "--retention-days",
        type=int,
        default=7,
        metavar="DAYS",
        help="of a run that says nothing, and the most it may ask for (%(default)s)",
    )
    parser.add_argument("--retention-limit", metavar="SIZE", help="above it the oldest files go first; default: none")
    parser.add_argument(
        "--lease", default="30s", help="a tool ends when its lease was not renewed so long (%(default)s)"
    )
    parser.add_argument("--max-connections", type=int, default=MOST, help="at the same time (%(default)s)")
    parser.add_argument(
        "--max-connections-per-address", type=int, default=MOST_OF_ONE, help="of them from one address (%(default)s)"
    )
    parser.add_argument(
        "--max-sessions", type=int, default=10_000, help="tools that are served at a time (%(default)s)"
    )
    parser.add_argument(
        "--pod-addresses",
        default="off",
        choices=("off", "enforce"),
        help="enforce: only from the pod's own address, where the network shows it",
    )
    parser.add_argument(
        "--downloads", action="store_true", help="serve the artifacts API here too, to whoever has a token"
    )
    parser.add_argument("--log-level", default="info", choices=LOG_LEVELS, help="the least that is told (%(default)s)")
    return parser
