"""``toe collector`` as a real process, with tickets for it, and a client that says exactly what a test wants said."""

import asyncio
import base64
import hashlib
import json
import os
import secrets
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.cluster.hooked import free_port
from tests.collector.toyapi import ToyApi
from tests.webhook.pki import an_authority
from toe.api.ticket import Ticket, key_id, sign

NAMESPACE, RUN, TOOL = "production", "slow-checkout", "aperf"


class Said(NamedTuple):
    """Is an answer; a status of 0 is a connection that was closed without one."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def json(self) -> Any:
        """Is what the body says."""
        return json.loads(self.body) if self.body else {}

    @property
    def reason(self) -> str:
        """Is the word that a refusal has."""
        return str(self.json.get("reason", "")) if self.body.startswith(b"{") else ""


CLOSED = Said(0)


class Wire:
    """Is one TLS connection to the collector; use it as a context. Nothing is added to what is sent."""

    def __init__(self, port: int, trust: ssl.SSLContext, source: str = "127.0.0.1") -> None:
        self._port, self._trust, self._source = port, trust, source

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=self._trust, local_addr=(self._source, 0)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.transport.abort()

    async def send(self, *parts: bytes) -> None:
        """Sends bytes."""
        for part in parts:
            self.writer.write(part)
        with suppress(ConnectionError):
            await self.writer.drain()

    async def answer(self, seconds: float = 30) -> Said:
        """Reads one answer; :data:`CLOSED` when there is none."""
        try:
            async with asyncio.timeout(seconds):
                head = await self.reader.readuntil(b"\r\n\r\n")
                first, *lines = head.decode("latin-1").split("\r\n")
                headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines if line)}
                status = int(first.split()[1])
                body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            return CLOSED
        return Said(status, headers, body)

    async def ask(self, *parts: bytes) -> Said:
        """Sends bytes and reads one answer."""
        await self.send(*parts)
        return await self.answer()


def request(
    method: str, path: str, bearer: str | None = None, body: bytes | None = b"{}", headers: Mapping[str, str] = {}
) -> bytes:
    """Is a request as toe-run would send it; ``headers`` are added, or taken away where they are empty."""
    found = {"Host": "collector", "Content-Type": "application/json"}
    if bearer is not None:
        found["Authorization"] = f"Bearer {bearer}"
    if body is not None:
        found["Content-Length"] = str(len(body))
    found |= headers
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in found.items() if value)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def as_json(value: Any) -> bytes:
    """Is a JSON body."""
    return json.dumps(value).encode()


def digest(content: bytes) -> str:
    """Is its sha256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def a_session() -> str:
    """Is a secret as toe-run makes it."""
    return secrets.token_hex(32)


class Tickets:
    """Signs tickets."""

    def __init__(self, place: Path) -> None:
        """Writes its public key into a directory of keys."""
        self._pods = count(1)
        self.key = Ed25519PrivateKey.generate()
        self.id = key_id(self.key.public_key())
        place.mkdir(exist_ok=True)
        self.file = place / f"{self.id}.pem"
        self.file.write_bytes(self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    def sign(self, run: str = RUN, pod: str = "", **changes: Any) -> str:
        """Returns a ticket of its own id, for a pod of its own where none is named."""
        return sign(self.ticket(run, pod, **changes), self.key, self.id)

    def ticket(self, run: str = RUN, pod: str = "", **changes: Any) -> Ticket:
        """Returns what it says."""
        now = int(time.time())
        pod = pod or f"web-{next(self._pods)}"
        facts: dict[str, Any] = {
            "id": secrets.token_hex(16),
            "namespace": NAMESPACE,
            "run": run,
            "run_uid": f"uid-{run}",
            "tool": TOOL,
            "pod": pod,
            "pod_uid": f"uid-{pod}",
            "container": "toe-aperf-0123456789",
            "target": "app",
            "max_bytes": 1 << 30,
            "expires": now + 3600,
            "not_before": now,
        }
        return Ticket(**(facts | changes))


class Collector:
    """Is one ``toe collector`` with its directories; it can be killed and started again."""

    def __init__(self, place: Path, kubeconfig: Path, *flags: str) -> None:
        self.place, self.flags, self.port = place, flags, free_port()
        self.store, self.scratch, self.keys = place / "store", place / "scratch", place / "keys"
        self.log = place / "log"
        self.tickets = Tickets(self.keys)
        certificate, key = an_authority().issue(place, "collector")
        self.tls = (certificate, key)
        self.serving: tuple[str, ...] = ("--tls-cert", str(certificate), "--tls-key", str(key))
        self.trust = ssl.create_default_context()
        self.trust.check_hostname, self.trust.verify_mode = False, ssl.CERT_NONE
        self._kubeconfig = kubeconfig
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts it and waits until it says that it is ready."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "toe.main", "collector"),
                *("--kubeconfig", str(self._kubeconfig), "--port", str(self.port)),
                *("--store", str(self.store), "--scratch", str(self.scratch), "--ticket-keys", str(self.keys)),
                *self.serving,
                *self.flags,
                stdout=log,
                stderr=log,
            )
        await self.ready()

    async def ready(self, status: int = 200) -> str:
        """Waits until /readyz answers with this status, and returns what it says."""
        said = CLOSED
        try:
            async with asyncio.timeout(30):
                while said.status != status:
                    assert self.process is None or self.process.returncode is None, self.log.read_text()
                    with suppress(OSError):
                        async with self.wire() as wire:
                            said = await wire.ask(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
                    if said.status != status:
                        await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"not ready: {said}; {self.log.read_text()[-2000:]}") from None
        return said.body.decode()

    async def kill(self) -> None:
        """Ends it as a node does that dies."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """Ends it as the kubelet does."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await self.process.wait()

    def wire(self, source: str = "127.0.0.1") -> Wire:
        """Returns a connection to it, not open yet."""
        return Wire(self.port, self.trust, source)

    async def ask(self, *parts: bytes) -> Said:
        """Sends bytes over a connection of their own and reads one answer."""
        async with self.wire() as wire:
            return await wire.ask(*parts)

    async def claim(self, ticket: str | None = None, session: str | None = None) -> str:
        """Claims a ticket and returns the session."""
        session = session or a_session()
        said = await self.ask(
            request("POST", "/v1/claim", ticket or self.tickets.sign(), as_json({"session": session}))
        )
        assert said.status in (200, 201), said
        return session

    async def open(self, session: str, name: str = "out.txt", *, restart: bool = False) -> str:
        """Begins a file and returns what it is called on the wire."""
        said = await self.ask(request("POST", "/v1/files", session, as_json({"name": name, "restart": restart})))
        assert said.status in (200, 201), said
        return str(said.json["file"])

    async def put(self, session: str, file: str, content: bytes, offset: int = 0, **headers: str) -> Said:
        """Sends a chunk."""
        return await self.ask(chunk(session, file, content, offset, **headers))

    async def commit(self, session: str, file: str, content: bytes) -> Said:
        """Ends a file that has this content."""
        body = as_json({"bytes": len(content), "sha256": digest(content)})
        return await self.ask(request("POST", f"/v1/files/{file}/commit", session, body))

    async def upload(self, session: str, content: bytes, name: str = "out.txt") -> Said:
        """Brings a file in one chunk, and returns the answer to its end."""
        file = await self.open(session, name)
        said = await self.put(session, file, content)
        return await self.commit(session, file, content) if said.status == 200 else said

    async def metrics(self) -> str:
        """Returns what is measured."""
        return (
            await self.ask(b"GET /metrics HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer scraper\r\n\r\n")
        ).body.decode()

    def kept(self) -> dict[str, bytes]:
        """Returns all artifacts by their keys: content that has its record, and says the truth."""
        found = {}
        for record in self.store.rglob("*.toe.json"):
            if self.store / ".toe" in record.parents:
                continue
            facts = json.loads(record.read_text())
            content = record.with_name(record.name.removesuffix(".toe.json")).read_bytes()
            assert (facts["bytes"], facts["sha256"]) == (len(content), digest(content))
            assert facts["key"] == str(record.relative_to(self.store)).removesuffix(".toe.json")
            found[facts["key"]] = content
        return found

    def orphans(self) -> list[Path]:
        """Returns content that has no record."""
        files = [path for path in self.store.rglob("*") if path.is_file() and self.store / ".toe" not in path.parents]
        return [p for p in files if not p.name.endswith(".toe.json") and not p.with_name(p.name + ".toe.json").exists()]

    def partials(self) -> list[Path]:
        """Returns what is left of uploads that have not ended."""
        return [path for path in self.scratch.rglob("*") if path.is_file() and path.parent != self.scratch]


def chunk(session: str, file: str, content: bytes, offset: int = 0, **headers: str) -> bytes:
    """Is the request that brings a chunk."""
    found = {"Toe-Chunk-Sha256": digest(content), "Content-Type": "application/octet-stream"}
    found |= {name.replace("_", "-"): value for name, value in headers.items()}
    return request("PUT", f"/v1/files/{file}?offset={offset}", session, content, found)


def encoded(value: Any) -> str:
    """Is a part of a JWS."""
    return base64.urlsafe_b64encode(as_json(value)).rstrip(b"=").decode()


@asynccontextmanager
async def collecting(place: Path, *flags: str) -> AsyncIterator[tuple[Collector, ToyApi]]:
    """Is a collector that is ready, with a run and its tool's config in the cluster; it ends well."""
    async with ToyApi() as api:
        await api.config(TOOL)
        await api.run(RUN)
        async with started(Collector(place, api.kubeconfig(place), *flags)) as collector:
            yield collector, api


@asynccontextmanager
async def started(collector: Collector) -> AsyncIterator[Collector]:
    """Is a collector that is ready; it ends well."""
    try:
        await collector.start()
        yield collector
        assert await collector.stop() == 0
    finally:
        with suppress(ProcessLookupError):
            if collector.process is not None and collector.process.returncode is None:
                os.kill(collector.process.pid, signal.SIGKILL)
                await collector.process.wait()
