"""A collector in this process over real TLS, with runs that a test decides about; and what a supervisor says to it."""

import hashlib
import json
import secrets
import ssl
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from aiohttp import ClientSession, TCPConnector
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.builders import a_powertool
from tests.webhook.pki import an_authority
from toe.api.powertool import PowerTool
from toe.api.ticket import Ticket, sign
from toe.collector.alarm import Alarm
from toe.collector.claims import Claims
from toe.collector.counters import Counters
from toe.collector.janitor import Janitor
from toe.collector.partials import Partials
from toe.collector.room import Quotas, Room
from toe.collector.server import Server
from toe.collector.sessions import Sessions
from toe.collector.ticketkeys import TicketKeys
from toe.collector.uploads import Terms, Uploads
from toe.errors import ClusterError
from toe.kube.connections import Gate
from toe.kube.metrics import Metrics
from toe.kube.serving import Certificate, Listener, MountedFiles
from toe.store.directory import DirectoryStore
from toe.store.retention import Retention, Rules

NOW = datetime(2026, 10, 24, 12, tzinfo=UTC)
RUN = a_powertool()
KEY = Ed25519PrivateKey.generate()
KEY_ID = "key1"


class ToyRuns:
    """Knows what a test says: one run, that is there until it is not."""

    def __init__(self, run: PowerTool | None = RUN) -> None:
        self.run, self.live, self.suspended, self.silent = run, True, False, False

    def find(self, namespace: str, name: str, uid: str) -> PowerTool | None:
        run = self.run
        return run if run and (*run.metadata.key, run.metadata.uid) == (namespace, name, uid) else None

    async def confirm(self, namespace: str, name: str, uid: str) -> PowerTool | None:
        if self.silent:
            raise ClusterError("no answer")
        return self.find(namespace, name, uid)

    def is_suspended(self, tool: str) -> bool:
        return self.suspended


def a_ticket(**facts: Any) -> Ticket:
    """Returns a ticket of the run for one container; ``facts`` is what is different."""
    meta = RUN.metadata
    ticket = Ticket(
        id=secrets.token_hex(16),
        namespace=meta.namespace,
        run=meta.name,
        run_uid=meta.uid,
        tool=RUN.spec.tool.name,
        pod="checkout-1",
        pod_uid="pod-uid",
        container="toe-1",
        target="app",
        max_bytes=1 << 30,
        expires=int((NOW + timedelta(hours=1)).timestamp()),
        not_before=int(NOW.timestamp()),
        pod_ips=("127.0.0.1",),
    )
    return msgspec.structs.replace(ticket, **facts)


class Place(NamedTuple):
    """Is where a collector keeps things."""

    store: Path
    scratch: Path
    keys: Path

    def kept(self) -> dict[str, bytes]:
        """Returns every content that has a record, by its key, and fails for one that has none."""
        found = {}
        for path in sorted(self.store.rglob("*")):
            key = str(path.relative_to(self.store))
            if path.is_file() and not key.startswith(".") and not key.endswith(".toe.json"):
                record = json.loads(path.with_name(path.name + ".toe.json").read_bytes())
                content = path.read_bytes()
                assert record["sha256"] == hashlib.sha256(content).hexdigest()
                assert (record["bytes"], record["key"]) == (len(content), key)
                found[key] = content
        return found

    def partials(self) -> list[str]:
        """Returns what is left of files that are not whole."""
        places = (self.scratch, self.store / ".partial")
        return [path.name for place in places for path in place.rglob("*") if path.is_file()]


def a_place(root: Path) -> Place:
    """Makes the directories, and the file of the public key."""
    keys = root / "keys"
    keys.mkdir(exist_ok=True)
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (keys / f"{KEY_ID}.pem").write_bytes(public)
    return Place(root / "store", root / "scratch", keys)


class Collector(NamedTuple):
    """Is a collector that runs."""

    port: int
    place: Place
    runs: ToyRuns
    uploads: Uploads
    sessions: Sessions
    janitor: Janitor
    room: Room
    metrics: Metrics
    gate: Gate
    clock: list[datetime]
    """What its clock says: the last one."""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


@asynccontextmanager
async def collecting(
    place: Place,
    *,
    runs: ToyRuns | None = None,
    terms: Terms | None = None,
    quotas: Quotas | None = None,
    max_sessions: int = 1000,
    clock: list[datetime] | None = None,
    gate: Gate | None = None,
) -> AsyncIterator[Collector]:
    """Runs a collector in this process: everything of it but the program."""
    runs, quotas, terms, clock = runs or ToyRuns(), quotas or Quotas(), terms or Terms(), clock or [NOW]
    gate, now = gate or Gate(1024, 1024), lambda: clock[-1]
    store, partials, threads = DirectoryStore(place.store), Partials(place.scratch), ThreadPoolExecutor(4)
    claims, room, metrics = Claims(store), Room(store, partials, quotas, place.store), Metrics()
    counters = Counters(metrics)
    sessions = Sessions(store, claims, partials, room, threads, now)
    uploads = Uploads(store, sessions, partials, room, runs, terms, threads, now)
    janitor = Janitor(sessions, claims, partials, room, now, Retention(store, Rules()), uploads.is_over)
    await janitor.sweep()
    await room.survey()
    keys = TicketKeys(place.keys)
    server = Server(uploads, sessions, runs, keys, Alarm(counters, None, now), counters, now, str, max_sessions)
    files = an_authority().issue(place.keys.parent, "127.0.0.1")
    certificate = Certificate(MountedFiles(*files))
    listener = Listener(server.application(), idle_seconds=30.0, connect=gate.connect)
    async with listener.listening(0, certificate.context()) as port:
        yield Collector(port, place, runs, uploads, sessions, janitor, room, metrics, gate, clock)
    threads.shutdown()
    store.close()


def trusting() -> ssl.SSLContext:
    """Returns a client's context that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Supervisor:
    """Says what toe-run says, with one ticket."""

    def __init__(self, http: ClientSession, url: str, ticket: Ticket | None = None, text: str = "") -> None:
        self.ticket = ticket or a_ticket()
        self.text = text or sign(self.ticket, KEY, KEY_ID)
        self.session = secrets.token_hex(32)
        self._http, self.url = http, url

    async def say(
        self, method: str, path: str, body: Any = None, *, bearer: str = "", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Sends one request and returns status and body of the answer."""
        content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        said = {"Authorization": f"Bearer {bearer or self.session}", **(headers or {})}
        async with self._http.request(method, self.url + path, data=content, headers=said) as found:
            return found.status, json.loads(await found.read())

    async def claim(self, session: str = "") -> tuple[int, dict[str, Any]]:
        return await self.say("POST", "/v1/claim", {"session": session or self.session}, bearer=self.text)

    async def lease(self) -> tuple[int, dict[str, Any]]:
        return await self.say("POST", "/v1/lease")

    async def open(self, name: str, *, restart: bool = False) -> tuple[int, dict[str, Any]]:
        return await self.say("POST", "/v1/files", {"name": name, "restart": restart})

    async def put(self, file: str, offset: int, chunk: bytes, sha256: str = "") -> tuple[int, dict[str, Any]]:
        digest = sha256 or hashlib.sha256(chunk).hexdigest()
        return await self.say("PUT", f"/v1/files/{file}?offset={offset}", chunk, headers={"Toe-Chunk-Sha256": digest})

    async def commit(self, file: str, content: bytes) -> tuple[int, dict[str, Any]]:
        said = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        return await self.say("POST", f"/v1/files/{file}/commit", said)

    async def complete(self) -> tuple[int, dict[str, Any]]:
        return await self.say("POST", "/v1/complete")

    async def upload(self, name: str, content: bytes, chunk: int = 65536) -> tuple[int, dict[str, Any]]:
        """Brings a file whole; returns the answer to its commit."""
        status, found = await self.open(name)
        assert status in (200, 201), found
        for offset in range(found["offset"], len(content), chunk):
            status, answer = await self.put(found["file"], offset, content[offset : offset + chunk])
            assert status == 200, answer
        return await self.commit(found["file"], content)


@asynccontextmanager
async def supervising(collector: Collector, **facts: Any) -> AsyncIterator[Supervisor]:
    """Yields a supervisor that has claimed its ticket."""
    async with a_client() as http:
        supervisor = Supervisor(http, collector.url, a_ticket(**facts))
        status, found = await supervisor.claim()
        assert status == 201, found
        yield supervisor


@asynccontextmanager
async def a_client() -> AsyncIterator[ClientSession]:
    """Yields a client without limits."""
    async with ClientSession(connector=TCPConnector(ssl=trusting(), limit=0)) as http:
        yield http


def files(place: Path) -> list[Path]:
    """Returns every file below a place."""
    return [path for path in sorted(place.rglob("*")) if path.is_file()]
