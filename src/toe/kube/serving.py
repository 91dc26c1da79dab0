"""What every server of ours does alike: a certificate that follows its source, and no patience with the silent.

The certificate is made anew as it changes: no restart, no connection dropped. Where it comes from is a :class:`Source`:
two mounted files (:class:`MountedFiles`), or an authority of our own (:mod:`toe.kube.authority`). Each handshake asks
for the context as it is then.
"""

import argparse
import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from toe.errors import SettingsError

HEADER_SECONDS = 5.0
"""For the handshake, and again from there to the end of the first request's headers."""
IDLE_SECONDS = 120.0
"""More than the API server keeps an idle connection (90 s), so that it is never us who closes under a request."""

_log = structlog.get_logger(__name__)


class Pem(NamedTuple):
    """Is a certificate with what signed it, and its key."""

    chain: bytes
    key: bytes


class Source(Protocol):
    """Is where a certificate comes from."""

    def stamp(self) -> object:
        """Returns what changes when there is another certificate to serve; cheap, asked at each handshake."""
        ...

    def load(self) -> Pem:
        """Returns the certificate; raises OSError or ValueError when there is none."""
        ...


class MountedFiles:
    """Reads a certificate and its key from two files (cert-manager, a Secret that somebody renews)."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = (certificate, key)

    def __str__(self) -> str:
        """Names the flags, for an error."""
        return f"--tls-cert {self._files[0]} and --tls-key {self._files[1]}"

    def stamp(self) -> object:
        """Returns what tells one version of the files from the next."""
        return stamp_of(*self._files)

    def load(self) -> Pem:
        """Reads both files."""
        certificate, key = self._files
        return Pem(certificate.read_bytes(), key.read_bytes())


class Certificate:
    """Serves what its source has, as it is at each handshake; half a renewal keeps the certificate before."""

    def __init__(self, source: Source, *, trust: Path | None = None, name: str | None = None) -> None:
        """Raises SettingsError when there is nothing to serve.

        ``trust`` is what the API server trusts, ``name`` the DNS name or address that it calls: :meth:`missing` checks
        what is known of both.
        """
        self.source = source
        """Where it comes from: for whoever serves the same with a context of his own."""
        self._trust, self._name = trust, name
        self._seen = source.stamp()
        try:
            self._pem = source.load()
            self._current = server_context(self._pem)
        except (OSError, ValueError) as error:
            raise SettingsError(f"{source}: {error}") from None

    def context(self) -> ssl.SSLContext:
        """Returns the context to listen with; what it serves follows the source."""
        listening = server_context(self._pem)
        listening.sni_callback = self._choose
        return listening

    def missing(self) -> str:
        """Says why a client that trusts the API server's bundle would not accept what is served now; empty if it would.

        A handshake without a network: the chain, the dates and the name are checked as a client does.
        """
        self._renew()
        try:
            _handshake(self._client(), self._current, self._name)
        except (OSError, ValueError) as error:
            return " ".join(str(error).split()) or type(error).__name__
        return ""

    @property
    def not_after(self) -> float:
        """Is when the certificate ends, in seconds since the epoch; 0 when it has ended already."""
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            client.load_verify_locations(cadata=self._pem.chain.decode())
            ended = _handshake(client, self._current, None).getpeercert()
        except (OSError, ValueError):
            return 0.0
        return ssl.cert_time_to_seconds(str(ended["notAfter"])) if ended else 0.0

    def _client(self) -> ssl.SSLContext:
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = self._name is not None
        if self._trust is not None:
            client.load_verify_locations(cafile=self._trust)
        else:  # nobody told what is trusted: what signed it is, so that the dates are checked all the same
            client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            client.load_verify_locations(cadata=self._pem.chain.decode())
        return client

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        self._renew()
        connection.context = self._current

    def _renew(self) -> None:
        stamp = self.source.stamp()
        if stamp == self._seen:
            return
        try:
            pem = self.source.load()
            self._current, self._pem, self._seen = server_context(pem), pem, stamp
            _log.info("certificate loaded", source=str(self.source))
        except (OSError, ValueError) as error:  # half a renewal: the next handshake looks again
            _log.warning("certificate cannot be loaded", source=str(self.source), error=str(error))


def serving_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that :func:`chosen_certificate` reads."""
    parser.add_argument("--tls-cert", type=Path, help="certificate to serve, loaded again when it changes")
    parser.add_argument("--tls-key", type=Path, help="its key")
    parser.add_argument(
        "--ca-cert",
        type=Path,
        help="what the API server trusts; with --ca-key, the authority that signs our own leaves",
    )
    parser.add_argument("--ca-key", type=Path, help="the authority's key, instead of --tls-cert and --tls-key")
    parser.add_argument(
        "--serving-name",
        action="append",
        metavar="NAME",
        help="DNS name or address that is called, may be repeated; default: the Service's",
    )


def service_names(service: str, namespace: str) -> tuple[str, ...]:
    """Returns the DNS names that a Service is reached by inside a cluster: what its certificate is for."""
    host = f"{service}.{namespace}"
    return (f"{host}.svc", host, f"{host}.svc.cluster.local")


def chosen_certificate(
    options: argparse.Namespace, names: tuple[str, ...], clock: Callable[[], datetime]
) -> Certificate:
    """Returns what to serve: the mounted certificate, else one for ``names`` that an authority of our own signs.

    Raises SettingsError when the flags say neither, or both.
    """
    names = tuple(options.serving_name or names)
    if options.tls_cert and options.tls_key and not options.ca_key:
        source: Source = MountedFiles(options.tls_cert, options.tls_key)
        return Certificate(source, trust=options.ca_cert, name=names[0] if options.serving_name else None)
    if options.ca_cert and options.ca_key and not (options.tls_cert or options.tls_key):
        from toe.kube.authority import Authority  # its library takes a third of our memory: only where it is used

        return Certificate(
            Authority(options.ca_cert, options.ca_key, names, clock), trust=options.ca_cert, name=names[0]
        )
    raise SettingsError("either --tls-cert and --tls-key are wanted, or --ca-cert and --ca-key")


def stamp_of(*files: Path) -> tuple[tuple[int, int], ...]:
    """Returns what tells one version of these files from the next; empty while one is not there."""
    try:
        return tuple((status.st_mtime_ns, status.st_ino) for status in (path.stat() for path in files))
    except OSError:
        return ()


class Listener:
    """Serves an application, and closes a connection that says nothing."""

    def __init__(
        self,
        application: web.Application,
        *,
        idle_seconds: float = IDLE_SECONDS,
        connect: Callable[[web.Server], web.RequestHandler] = lambda server: server(),
    ) -> None:
        """``application`` is not served yet: it gets a middleware; ``connect`` makes what a connection speaks to."""
        self._application, self._idle, self._connect = application, idle_seconds, connect
        self._silent: dict[object, asyncio.TimerHandle] = {}
        application.middlewares.insert(0, self._hear())

    @asynccontextmanager
    async def listening(self, port: int, context: ssl.SSLContext | None) -> AsyncIterator[int]:
        """Listens on all addresses inside of the block, and yields the port; answers in flight are finished at its end.

        The handshake and the first headers have 5 s each.
        """
        runner = web.AppRunner(
            self._application,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=self._idle,
            lingering_time=1.0,
            auto_decompress=False,  # nobody compresses what he asks; what does not unpack would end without an answer
            shutdown_timeout=5.0,
        )
        await runner.setup()
        loop = asyncio.get_running_loop()
        server = runner.server
        assert server is not None

        def connection() -> web.RequestHandler:
            protocol = self._connect(server)
            self._silent[protocol] = loop.call_later(2 * HEADER_SECONDS, self._close_silent, protocol)
            return protocol

        listener = await loop.create_server(
            connection,
            port=port,
            ssl=context,
            backlog=512,
            ssl_handshake_timeout=HEADER_SECONDS if context else None,
        )
        try:
            yield next(s.getsockname()[1] for s in listener.sockets if s.family == socket.AF_INET)
        finally:
            listener.close()
            await runner.cleanup()

    def _close_silent(self, protocol: web.RequestHandler) -> None:
        if self._silent.pop(protocol, None) is not None:
            protocol.force_close()

    def _hear(self) -> Middleware:
        @web.middleware
        async def hear(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            if timer := self._silent.pop(request.protocol, None):
                timer.cancel()
            return await handler(request)

        return hear


def server_context(pem: Pem) -> ssl.SSLContext:
    """Returns a server's context; the key passes through memory only, since the library reads nothing but files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    file = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(file, pem.chain.rstrip() + b"\n" + pem.key)
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
    return context


def _handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str | None) -> ssl.SSLObject:
    """Lets a client and a server of this process meet; raises ssl.SSLError when the client does not accept."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends: Sequence[ssl.SSLObject] = (
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    waiting = set(ends)
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
                waiting.discard(end)
            except ssl.SSLWantReadError:
                pass
        if not waiting:
            return ends[0]
    raise ssl.SSLError("the handshake does not end")
