"""The connections to one API server: TLS, credentials, one pool for requests and one for streams."""

import asyncio
import contextlib
import os
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_exceptions import (
    ClientConnectorCertificateError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ConnectionTimeoutError,
)
from aiohttp.connector import Connection
from multidict import CIMultiDict
from yarl import URL

from toe import __version__
from toe.errors import SettingsError, UnavailableError
from toe.kube.access import Access
from toe.kube.credentials import Credential

CONNECTIONS = 64
CONNECT_TIMEOUT = 10.0
NEVER_SENT = "NeverSent"
AMBIGUOUS = "Ambiguous"
NOT_LEADING = "NotLeading"
USER_AGENT = f"toe/{__version__}"
_NO_CONNECTION = (
    ClientConnectorError,
    ClientConnectorCertificateError,
    ClientConnectorSSLError,
    ConnectionTimeoutError,
)


class Transport:
    """Sends one request with the credentials of this moment. It repeats nothing.

    Streams have a pool without limit of their own, so that watches never take a place from writes. ``permits`` is asked
    of anything but a read when it has its connection, and again before its bytes go into it: it may have waited long
    for both, and the process been frozen.
    """

    def __init__(
        self, access: Access, *, connections: int = CONNECTIONS, permits: Callable[[], bool] | None = None
    ) -> None:
        self._access = access
        self._request_class = _permitted(permits) if permits is not None else aiohttp.ClientRequest
        self._connections = connections
        self._credential: Credential | None = None
        self._sessions: tuple[aiohttp.ClientSession, aiohttp.ClientSession] | None = None
        self._retired: list[aiohttp.ClientSession] = []
        self._ca_from = 0  # when the authority's file was last written, as of our reading it
        self._lock = asyncio.Lock()
        self._headers: CIMultiDict[str] = CIMultiDict()
        self._extra: dict[str, Any] = {}
        if access.proxy_url:
            self._extra["proxy"] = access.proxy_url
        if access.tls_server_name:
            self._extra["server_hostname"] = access.tls_server_name

    async def close(self) -> None:
        """Closes every connection."""
        sessions = [*(self._sessions or ()), *self._retired]
        self._sessions, self._retired, self._credential = None, [], None
        for session in sessions:
            await session.close()

    async def prepare(self) -> Credential:
        """Fetches the credential of this moment and makes it the one that :meth:`request` uses."""
        credential = await self._access.credentials.get()
        if credential is not self._credential:
            await self._use(credential)
        return credential

    async def reload(self, refused: Credential) -> None:
        """Gets a fresh credential after a 401, unless somebody else already has."""
        await self._use(await self._access.credentials.get(refused=refused))

    @contextlib.asynccontextmanager
    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None, stream: bool = False
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Sends one request and yields the answer's head; raises UnavailableError when no answer came.

        Its ``reason`` is NeverSent when no connection came about, so that nothing can have been executed, Ambiguous
        when the connection was lost afterwards, and NotLeading when it was not permitted.
        """
        if self._sessions is None:
            raise RuntimeError("prepare() comes before request()")
        session = self._sessions[1 if stream else 0]
        merged = self._headers.copy()
        merged.update(headers)
        try:
            async with session.request(
                method, URL(url, encoded=True), data=body, headers=merged, allow_redirects=False, **self._extra
            ) as response:
                yield response
        except _NO_CONNECTION as error:
            if isinstance(error, ClientConnectorCertificateError) and _changed_at(self._access) != self._ca_from:
                self._credential = None  # the authority was renewed: connect anew with what its file says now
            raise UnavailableError(f"no connection to {self._access.server}: {error}", reason=NEVER_SENT) from error
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            words = str(error) if isinstance(error, _LostError) else f"{type(error).__name__}: {error}"
            raise UnavailableError(
                f"the connection to {self._access.server} was lost: {words}", reason=AMBIGUOUS
            ) from error

    async def _use(self, credential: Credential) -> None:
        """Makes ``credential`` the current one; a client certificate that changed needs new connections."""
        async with self._lock:
            old = self._credential
            if credential is old:
                return
            if self._sessions is None or old is None or not _same_certificate(old, credential):
                try:
                    await self._connect(credential)
                except SettingsError:
                    if self._sessions is None or old is None:
                        raise
                    return  # certificate and key are being replaced, one after the other: the old ones do meanwhile
            self._headers = self._headers_with(credential)
            self._credential = credential

    async def _connect(self, credential: Credential) -> None:
        """Makes new pools; requests that are under way end in the old ones."""
        secure = self._access.server.startswith("https:")
        self._ca_from = _changed_at(self._access)
        context = await asyncio.to_thread(tls, self._access, credential) if secure else True
        retired, self._retired = self._retired, list(self._sessions or ())
        self._sessions = (self._session(context, self._connections), self._session(context, 0))
        for session in retired:  # two certificates old: their last watch ended long ago
            await session.close()

    def _headers_with(self, credential: Credential) -> CIMultiDict[str]:
        headers = CIMultiDict({"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": USER_AGENT})
        if credential.authorization:
            headers["Authorization"] = credential.authorization
        for name, value in self._access.impersonate.headers():
            headers.add(name, value)
        return headers

    def _session(self, context: ssl.SSLContext | bool, limit: int) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=limit, ssl=context),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
            auto_decompress=False,
            read_bufsize=1 << 18,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            middlewares=(_once,),
            request_class=self._request_class,
        )


def _permitted(permits: Callable[[], bool]) -> type[aiohttp.ClientRequest]:
    """Makes requests that ask when they have a connection, and right before their bytes go into it."""

    class Permitted(aiohttp.ClientRequest):
        def _refusal(self) -> UnavailableError | None:
            if self.method in ("GET", "HEAD") or permits():
                return None
            return UnavailableError(f"{self.method} is not sent: this process does not lead", reason=NOT_LEADING)

        async def send(self, conn: Connection) -> aiohttp.ClientResponse:
            if refusal := self._refusal():
                raise refusal
            return await super().send(conn)

        async def write_bytes(
            self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None
        ) -> None:
            refusal = self._refusal()
            if refusal is None:
                await super().write_bytes(writer, conn, content_length)  # sends the headers too
                return
            if conn.protocol is not None:
                conn.protocol.set_exception(refusal)  # to whoever waits for the answer
            conn.close()

    return Permitted


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keeps aiohttp from repeating GET, PUT and DELETE by itself when a connection is lost.

    It does so for some classes of error, hence another class. One retry policy is enough, and a DELETE that may have
    been executed must not be sent again.
    """
    try:
        return await handler(request)
    except _NO_CONNECTION:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _LostError(f"{type(error).__name__}: {error}") from error


class _LostError(aiohttp.ClientError):
    """The connection was lost while a request was under way."""


def _changed_at(access: Access) -> int:
    """Is when the authority's file was written, in nanoseconds; 0 without a file."""
    try:
        return access.ca_file.stat().st_mtime_ns if access.ca_file else 0
    except OSError:
        return 0


def _same_certificate(one: Credential, other: Credential) -> bool:
    return (one.certificate, one.key) == (other.certificate, other.key)


def tls(access: Access, credential: Credential) -> ssl.SSLContext:
    """Builds the TLS settings; SettingsError names the certificate that cannot be used."""
    try:
        context = ssl.create_default_context(
            cafile=str(access.ca_file) if access.ca_file else None,
            cadata=access.ca_data.decode("ascii") if access.ca_data else None,
        )
    except (OSError, ValueError) as error:
        raise SettingsError(f"certificate authority {access.ca_file or '(inline)'}: {error}") from error
    if access.insecure_skip_tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if credential.certificate:
        try:
            with _file(credential.certificate + b"\n" + credential.key) as name:
                context.load_cert_chain(name)
        except (OSError, ValueError) as error:
            raise SettingsError(f"client certificate: {error}") from error
    return context


@contextlib.contextmanager
def _file(content: bytes) -> Iterator[str]:
    """Lends the name of a file with ``content``, since OpenSSL loads certificates from files only.

    On Linux it never touches a disk; elsewhere it is readable by its owner only and removed at once.
    """
    if sys.platform == "linux":
        descriptor = os.memfd_create("toe", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(content)
            file.flush()
            yield file.name
