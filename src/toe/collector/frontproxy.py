"""The API server in front of us: which certificate proves that it is there, and whom it says that it speaks for.

Both are in the ConfigMap ``extension-apiserver-authentication`` in ``kube-system``, and followed as they change. A
connection whose certificate was accepted under an authority that is no longer trusted counts for nothing at its next
request.
Source: https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/#authentication-flow
"""

import asyncio
import contextlib
import re
import ssl
import weakref
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import msgspec
import structlog
from aiohttp import web
from multidict import CIMultiDictProxy

from toe.collector.people import Person
from toe.collector.refusals import unknown_caller
from toe.errors import ClusterError, DecodeError, NotFoundError
from toe.kube.client import Client
from toe.kube.serving import Pem, Source, server_context

NAMESPACE, CONFIGMAP = "kube-system", "extension-apiserver-authentication"
WATCH_SECONDS = 50
PAUSE = 5.0
"""Seconds between two looks where the watch cannot be had."""
_PATH = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_log = structlog.get_logger(__name__)


class Trust(msgspec.Struct, frozen=True):
    """Is what the ConfigMap says. ``names`` empty: any name that the authorities signed, as Kubernetes has it."""

    authorities: frozenset[bytes] = frozenset()
    """In DER."""
    names: tuple[str, ...] = ()
    user_headers: tuple[str, ...] = ("X-Remote-User",)
    uid_headers: tuple[str, ...] = ()
    """None unless it is said: API servers before 1.32 pass on what a person wrote into X-Remote-Uid."""
    group_headers: tuple[str, ...] = ("X-Remote-Group",)
    extra_prefixes: tuple[str, ...] = ("X-Remote-Extra-",)


NOBODY = Trust()


def read_trust(data: Mapping[str, str]) -> Trust:
    """Reads the ConfigMap's data; DecodeError when it trusts nobody, or everybody."""
    authorities = _certificates(data.get("requestheader-client-ca-file", ""))
    names = _words(data, "requestheader-allowed-names")
    if not authorities:
        raise DecodeError("no certificate", path="data.requestheader-client-ca-file", source=CONFIGMAP)
    if not names and authorities & _certificates(data.get("client-ca-file", "")):
        # Everybody who has a certificate of the cluster could say that he is somebody else.
        raise DecodeError("any name is allowed, and the authority signs people as well", path="data", source=CONFIGMAP)
    default = Trust()
    return Trust(
        authorities,
        names,
        _words(data, "requestheader-username-headers") or default.user_headers,
        _words(data, "requestheader-uid-headers"),
        _words(data, "requestheader-group-headers") or default.group_headers,
        _words(data, "requestheader-extra-headers-prefix") or default.extra_prefixes,
    )


def _certificates(pem: str) -> frozenset[bytes]:
    try:
        found = frozenset(ssl.PEM_cert_to_DER_cert(found) for found in _PEM.findall(pem))
        if found:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=b"".join(found))
    except (OSError, ValueError) as error:
        raise DecodeError(str(error), path="data", source=CONFIGMAP) from None
    return found


def _words(data: Mapping[str, str], key: str) -> tuple[str, ...]:
    try:
        return msgspec.json.decode(data.get(key) or "[]", type=tuple[str, ...])
    except msgspec.DecodeError as error:
        raise DecodeError(str(error), path=f"data.{key}", source=CONFIGMAP) from None


class FrontProxy:
    """Knows the API server by its certificate, and says whom it speaks for."""

    def __init__(self, source: Source, clock: Callable[[], datetime]) -> None:
        """``source`` is the certificate to serve; OSError or ValueError when it has none."""
        self._source, self._clock = source, clock
        self.trust = NOBODY
        self._verified: weakref.WeakKeyDictionary[ssl.SSLContext, frozenset[bytes]] = weakref.WeakKeyDictionary()
        self._seen = source.stamp()
        self._pem = source.load()
        self._current = self._context(self._pem)

    @property
    def is_known(self) -> bool:
        """Tells whether anybody can prove to be the API server."""
        return self.trust != NOBODY

    def context(self) -> ssl.SSLContext:
        """Returns the context to listen with; each handshake gets one with what is served and trusted at its moment."""
        listening = self._context(self._pem)
        listening.sni_callback = self._choose
        return listening

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        stamp = self._source.stamp()
        if stamp != self._seen:
            try:
                pem = self._source.load()
                self._current, self._pem, self._seen = self._context(pem), pem, stamp
            except (OSError, ValueError) as error:  # half a renewal: the next handshake looks again
                _log.warning("certificate cannot be loaded", source=str(self._source), error=str(error))
        if self._verified[self._current] != self.trust.authorities:
            self._current = self._context(self._pem)
        connection.context = self._current

    def _context(self, pem: Pem) -> ssl.SSLContext:
        context = server_context(pem)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the authority may be signed by another, as Go takes it
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0  # a resumed session would bring back what was trusted when it began
        if self.trust.authorities:
            context.load_verify_locations(cadata=b"".join(sorted(self.trust.authorities)))
        self._verified[context] = self.trust.authorities
        return context

    async def who(self, request: web.Request) -> Person:
        """Returns whom the API server names; RefusedError when it is not the API server who asks."""
        transport = request.transport
        connection = transport.get_extra_info("ssl_object") if transport else None
        person = self.person(connection, request.headers)
        if person is None:
            raise unknown_caller()
        return person

    def person(self, connection: ssl.SSLObject | None, headers: CIMultiDictProxy[str]) -> Person | None:
        """Returns whom a request is for; None unless it came from the API server, which says so in no doubtful way."""
        if connection is None or not self._speaks_for_people(connection):
            return None
        trust = self.trust
        users = _all(headers, trust.user_headers)
        uids = _all(headers, trust.uid_headers)
        if len(users) != 1 or not users[0] or len(uids) > 1:
            return None
        return Person(
            username=users[0],
            uid=uids[0] if uids else "",
            groups=tuple(_all(headers, trust.group_headers)),
            extra=_extra(headers, trust.extra_prefixes),
        )

    def _speaks_for_people(self, connection: ssl.SSLObject) -> bool:
        """Tells whether the peer's certificate is good at this moment: authority, dates and name."""
        peer: Mapping[str, Any] | None = connection.getpeercert()
        under = self._verified.get(connection.context)
        if not peer or not under or not under <= self.trust.authorities:
            return False
        now = self._clock().timestamp()
        if not ssl.cert_time_to_seconds(peer["notBefore"]) <= now < ssl.cert_time_to_seconds(peer["notAfter"]):
            return False
        names = [value for part in peer.get("subject", ()) for key, value in part if key == "commonName"]
        return not self.trust.names or (len(names) == 1 and names[0] in self.trust.names)

    async def follow(self, client: Client) -> None:
        """Reads the ConfigMap, and again whenever it changes, for ever; while it cannot be read the last one counts."""
        while True:
            try:
                version = await self._look(client)
                async with asyncio.timeout(WATCH_SECONDS + 10):
                    await self._watch(client, version)
            except (ClusterError, DecodeError, TimeoutError) as error:
                _log.warning("trust in the API server cannot be followed", error=str(error))
                await asyncio.sleep(PAUSE)

    async def _look(self, client: Client) -> str:
        try:
            found = msgspec.json.decode(await client.raw("GET", f"{_PATH}/{CONFIGMAP}"), type=_ConfigMap)
        except NotFoundError:
            self._take(NOBODY)
            raise
        except msgspec.DecodeError as error:
            raise DecodeError(str(error), source=CONFIGMAP) from None
        self._read(found)
        return found.metadata.resource_version

    async def _watch(self, client: Client, version: str) -> None:
        """Takes in changes until the server ends the watch."""
        params: dict[str, str | int | bool] = {
            "watch": True,
            "fieldSelector": f"metadata.name={CONFIGMAP}",
            "resourceVersion": version,
            "timeoutSeconds": WATCH_SECONDS,
        }
        async with contextlib.aclosing(client.stream(_PATH, params, label="configmaps")) as lines:
            async for line in lines:
                try:
                    event = msgspec.json.decode(line, type=_Event)
                except msgspec.DecodeError as error:
                    raise DecodeError(str(error), source=CONFIGMAP) from None
                if event.type == "ERROR":
                    return
                if event.type == "DELETED":
                    self._take(NOBODY)
                else:
                    self._read(event.object)

    def _read(self, found: "_ConfigMap") -> None:
        try:
            self._take(read_trust(found.data or {}))
        except DecodeError as error:
            _log.error("the API server is not trusted", error=str(error))
            self._take(NOBODY)

    def _take(self, trust: Trust) -> None:
        if trust != self.trust:
            self.trust = trust
            _log.info("trust in the API server", authorities=len(trust.authorities), names=trust.names)


class _Version(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""


class _ConfigMap(msgspec.Struct, frozen=True):
    metadata: _Version = _Version()
    data: dict[str, str] | None = None


class _Event(msgspec.Struct, frozen=True):
    type: str
    object: _ConfigMap = _ConfigMap()


def _all(headers: CIMultiDictProxy[str], names: tuple[str, ...]) -> list[str]:
    return [value for name in names for value in headers.getall(name, ())]


def _extra(headers: CIMultiDictProxy[str], prefixes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Collects what else is known of the person; keys come in any case, percent-encoded where a header forbids them."""
    found: dict[str, tuple[str, ...]] = {}
    for header, value in headers.items():
        for prefix in prefixes:
            if header.lower().startswith(prefix.lower()) and len(header) > len(prefix):
                key = unquote(header[len(prefix) :]).lower()
                found[key] = (*found.get(key, ()), value)
                break
    return found
