"""Only the API server speaks for people: its certificate proves it, at each request."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from multidict import CIMultiDict

from tests.webhook.pki import Signer, an_authority
from toe.collector.frontproxy import NOBODY, FrontProxy, Trust, read_trust
from toe.collector.people import Person
from toe.collector.refusals import RefusedError
from toe.errors import DecodeError, NotFoundError, UnavailableError
from toe.kube.authority import LIFE, Authority
from toe.kube.serving import Certificate, Listener, MountedFiles, _handshake

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALICE = {"X-Remote-User": "alice"}


def _pem(*signers: Signer) -> str:
    return "".join(signer.certificate.public_bytes(Encoding.PEM).decode() for signer in signers)


def _data(*signers: Signer, names: tuple[str, ...] = ("front-proxy-client",), **more: str) -> dict[str, str]:
    return {
        "requestheader-client-ca-file": _pem(*signers),
        "requestheader-allowed-names": json.dumps(names),
        **{key.replace("_", "-"): value for key, value in more.items()},
    }


def test_the_config_map_is_read() -> None:
    """Authorities, names and headers; what it does not say is as Kubernetes has it."""
    one, two = an_authority("one"), an_authority("two")
    trust = read_trust(_data(one, two, requestheader_username_headers='["X-User"]'))
    assert trust.authorities == {s.certificate.public_bytes(Encoding.DER) for s in (one, two)}
    assert (trust.names, trust.user_headers) == (("front-proxy-client",), ("X-User",))
    assert (trust.group_headers, trust.extra_prefixes) == (("X-Remote-Group",), ("X-Remote-Extra-",))
    assert trust.uid_headers == ()


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"requestheader-client-ca-file": "nonsense"},
        {"requestheader-client-ca-file": "-----BEGIN CERTIFICATE-----\n=\n-----END CERTIFICATE-----"},
        {**_data(an_authority()), "requestheader-allowed-names": "{"},
        {**_data(an_authority()), "requestheader-group-headers": "[1]"},
    ],
)
def test_a_config_map_that_names_nobody_trusts_nobody(data: dict[str, str]) -> None:
    """Nothing is assumed."""
    with pytest.raises(DecodeError):
        read_trust(data)


def test_an_authority_of_people_needs_names() -> None:
    """Else everybody who has a certificate of the cluster could say that he is somebody else."""
    signer = an_authority()
    with pytest.raises(DecodeError, match="any name is allowed"):
        read_trust(_data(signer, names=(), client_ca_file=_pem(signer)))
    assert read_trust(_data(signer, names=(), client_ca_file=_pem(an_authority()))).names == ()
    assert read_trust(_data(signer, client_ca_file=_pem(signer))).names == ("front-proxy-client",)


class Place:
    """Is a server behind a front proxy, which says who it takes a caller for."""

    def __init__(self, proxy: FrontProxy, port: int, directory: Path) -> None:
        self.proxy, self.port, self._directory = proxy, port, directory
        self.now = NOW

    def session(self, certificate: tuple[Path, Path] | None) -> aiohttp.ClientSession:
        """Is a client, with a certificate or without."""
        context = ssl.create_default_context(cafile=str(self._directory / "tls.crt"))
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if certificate:
            context.load_cert_chain(*certificate)
        return aiohttp.ClientSession(f"https://127.0.0.1:{self.port}", connector=aiohttp.TCPConnector(ssl=context))

    async def who(self, certificate: tuple[Path, Path] | None, headers: Any = ALICE) -> Any:
        """Returns whom one request is taken for; the status where it is refused."""
        async with self.session(certificate) as session:
            return await self.ask(session, headers)

    async def ask(self, session: aiohttp.ClientSession, headers: Any = ALICE) -> Any:
        """The same, over a connection that stays."""
        async with session.get("/", headers=headers) as found:
            return await found.json() if found.status == 200 else found.status


@asynccontextmanager
async def a_place(directory: Path, trust: Trust) -> AsyncIterator[Place]:
    """Serves inside of the block."""
    files = an_authority("server").issue(directory, "127.0.0.1")
    place: Place
    proxy = FrontProxy(MountedFiles(*files), lambda: place.now)
    proxy.trust = trust

    async def tell(request: web.Request) -> web.Response:
        try:
            return web.json_response((await proxy.who(request)).identity())
        except RefusedError as refused:
            return web.Response(status=refused.status)

    application = web.Application()
    application.router.add_get("/", tell)
    async with Listener(application).listening(0, proxy.context()) as port:
        place = Place(proxy, port, directory)
        yield place


def _client(directory: Path, signer: Signer, name: str = "front-proxy-client", **times: Any) -> tuple[Path, Path]:
    place = directory / f"client-{name}-{id(signer)}-{len(list(directory.iterdir()))}"
    place.mkdir()
    return signer.issue(place, name, **times)


@pytest.fixture
async def signer() -> Signer:
    return an_authority("front-proxy-ca")


@pytest.fixture
async def place(tmp_path: Path, signer: Signer) -> AsyncIterator[Place]:
    async with a_place(tmp_path, read_trust(_data(signer))) as found:
        yield found


async def test_the_api_server_names_a_person(place: Place, signer: Signer, tmp_path: Path) -> None:
    """With groups and extras, whose keys are percent-encoded and of any case."""
    headers = CIMultiDict(
        [
            ("X-Remote-User", "alice"),
            ("X-Remote-Group", "people"),
            ("X-Remote-Group", "system:authenticated"),
            ("X-Remote-Extra-Authentication.kubernetes.io%2fcredential-Id", "X509SHA256=1"),
            ("X-Remote-Extra-Scopes", "a"),
            ("X-Remote-Extra-Scopes", "b"),
        ]
    )
    assert await place.who(_client(tmp_path, signer), headers) == {
        "username": "alice",
        "uid": "",
        "groups": ["people", "system:authenticated"],
        "extra": {"authentication.kubernetes.io/credential-id": ["X509SHA256=1"], "scopes": ["a", "b"]},
    }


async def test_headers_without_the_certificate_name_nobody(place: Place) -> None:
    """Whoever reaches the port can write them."""
    assert await place.who(None, {**ALICE, "X-Remote-Group": "system:masters"}) == 401


async def test_another_name_of_the_same_authority_is_nobody(place: Place, signer: Signer, tmp_path: Path) -> None:
    """Other aggregators' certificates are of the same authority."""
    for name in ("metrics-server", "front-proxy-client.evil", "FRONT-PROXY-CLIENT", "x"):
        assert await place.who(_client(tmp_path, signer, name)) == 401


async def test_any_name_will_do_where_none_is_listed(place: Place, signer: Signer, tmp_path: Path) -> None:
    """As Kubernetes has it."""
    place.proxy.trust = read_trust(_data(signer, names=()))
    assert (await place.who(_client(tmp_path, signer, "whoever")))["username"] == "alice"


async def test_a_certificate_of_somebody_else_gets_no_connection(place: Place, tmp_path: Path) -> None:
    """Also one of the right name."""
    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await place.who(_client(tmp_path, an_authority("front-proxy-ca")))


async def test_a_certificate_whose_time_is_over_is_nobodys(place: Place, signer: Signer, tmp_path: Path) -> None:
    """Also on a connection that was made while it was good."""
    client = _client(tmp_path, signer, start=datetime(2020, 1, 1, tzinfo=UTC), life=timedelta(days=36_500))
    async with place.session(client) as session:
        assert (await place.ask(session))["username"] == "alice"
        place.now = datetime(2140, 1, 1, tzinfo=UTC)
        assert await place.ask(session) == 401
        place.now = datetime(2019, 1, 1, tzinfo=UTC)
        assert await place.ask(session) == 401


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("X-Remote-User", "")],
        [("X-Remote-User", "alice"), ("X-Remote-User", "bob")],
        [("X-Remote-Group", "system:masters")],
        [("X_Remote_User", "alice")],
    ],
)
async def test_a_request_for_nobody_or_for_two_is_refused(
    place: Place, signer: Signer, tmp_path: Path, headers: list[tuple[str, str]]
) -> None:
    """What is doubtful is nobody."""
    assert await place.who(_client(tmp_path, signer), CIMultiDict(headers)) == 401


async def test_a_uid_counts_only_where_the_api_server_says_so(place: Place, signer: Signer, tmp_path: Path) -> None:
    """Before 1.32 it passed on what a person wrote into that header."""
    client, headers = _client(tmp_path, signer), {**ALICE, "X-Remote-Uid": "u-1"}
    assert (await place.who(client, headers))["uid"] == ""
    place.proxy.trust = read_trust(_data(signer, requestheader_uid_headers='["X-Remote-Uid"]'))
    assert (await place.who(client, headers))["uid"] == "u-1"
    assert await place.who(client, CIMultiDict([*headers.items(), ("X-Remote-Uid", "u-2")])) == 401


async def test_trust_that_is_taken_away_is_gone_at_once(place: Place, signer: Signer, tmp_path: Path) -> None:
    """Also for connections that are open; with overlap nothing is interrupted."""
    client, other = _client(tmp_path, signer), an_authority("next")
    async with place.session(client) as session:
        assert (await place.ask(session))["username"] == "alice"
        place.proxy.trust = read_trust(_data(signer, other))
        assert (await place.ask(session))["username"] == "alice"
        assert (await place.who(_client(tmp_path, other)))["username"] == "alice"
        place.proxy.trust = read_trust(_data(other))
        assert await place.ask(session) == 401
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await place.who(client)
        place.proxy.trust = read_trust(_data(signer, other, names=("another",)))
        assert await place.ask(session) == 401


async def test_nobody_is_trusted_before_it_is_known_whom(tmp_path: Path, signer: Signer) -> None:
    """A connection without a certificate is taken, for probes; it names nobody."""
    async with a_place(tmp_path, NOBODY) as place:
        assert not place.proxy.is_known
        assert await place.who(None) == 401
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await place.who(_client(tmp_path, signer))


async def test_plain_connections_name_nobody(signer: Signer, tmp_path: Path) -> None:
    """Without TLS there is no certificate."""
    proxy = FrontProxy(MountedFiles(*signer.issue(tmp_path, "x")), lambda: NOW)
    proxy.trust = read_trust(_data(signer))
    assert proxy.person(None, CIMultiDict(ALICE)) is None  # type: ignore[arg-type]


async def test_a_certificate_to_serve_follows_its_files(place: Place, signer: Signer, tmp_path: Path) -> None:
    """Half a renewal keeps the one before."""
    client = _client(tmp_path, signer)
    before = (tmp_path / "tls.crt").read_bytes()
    (tmp_path / "tls.key").write_text("half")
    session = place.session(client)
    async with session:
        assert (await place.ask(session))["username"] == "alice"
    an_authority("another").issue(tmp_path, "127.0.0.1")
    assert (tmp_path / "tls.crt").read_bytes() != before
    assert (await place.who(client))["username"] == "alice"


def test_a_leaf_of_our_own_is_renewed_for_the_api_server_and_for_readiness(signer: Signer, tmp_path: Path) -> None:
    """Both look at the same authority, and neither takes the renewal away from the other."""
    clock = [NOW]
    files = an_authority().save(tmp_path)
    certificate = Certificate(Authority(*files, ("127.0.0.1",), lambda: clock[-1]))
    proxy = FrontProxy(certificate.source, lambda: clock[-1])
    proxy.trust = read_trust(_data(signer))
    seen: set[bytes] = set()
    for renewals in range(4):
        clock.append(clock[-1] + LIFE * 2 / 3)
        for serving in (proxy.context(), certificate.context()):
            client = ssl.create_default_context()
            client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
            seen.add(_handshake(client, serving, None).getpeercert(binary_form=True) or b"")
        assert len(seen) == 2 * (renewals + 1)


class Cluster:
    """Has the ConfigMap, and tells a watch of changes."""

    def __init__(self, data: Mapping[str, str] | None) -> None:
        self.data = data
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.watching = asyncio.Event()
        self.looks = 0

    async def raw(self, method: str, path: str) -> bytes:
        assert path == "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
        self.looks += 1
        if isinstance(self.data, Exception):
            raise self.data
        if self.data is None:
            raise NotFoundError("gone", status=404)
        return json.dumps({"metadata": {"resourceVersion": "7"}, "data": self.data}).encode()

    async def stream(self, path: str, params: Mapping[str, Any], *, label: str) -> AsyncIterator[bytes]:
        assert params["fieldSelector"] == "metadata.name=extension-apiserver-authentication"
        assert params["resourceVersion"] == "7"
        self.watching.set()
        while (event := await self.events.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event if isinstance(event, bytes) else json.dumps(event).encode()


@asynccontextmanager
async def following(cluster: Cluster, tmp_path: Path) -> AsyncIterator[FrontProxy]:
    """Follows it inside of the block."""
    proxy = FrontProxy(MountedFiles(*an_authority().issue(tmp_path, "x")), lambda: NOW)
    task = asyncio.create_task(proxy.follow(cluster))  # type: ignore[arg-type]
    try:
        yield proxy
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _until(proxy: FrontProxy, names: tuple[str, ...] | None) -> None:
    async with asyncio.timeout(5):
        while (proxy.trust.names if proxy.is_known else None) != names:  # noqa: ASYNC110 nothing tells
            await asyncio.sleep(0.01)


async def test_changes_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once; nonsense and a deletion trust nobody, silence of the API server changes nothing."""
    monkeypatch.setattr("toe.collector.frontproxy.PAUSE", 0.01)
    signer = an_authority()
    cluster = Cluster(_data(signer, names=("one",)))
    async with following(cluster, tmp_path) as proxy:
        await _until(proxy, ("one",))
        await cluster.events.put({"type": "MODIFIED", "object": {"data": _data(signer, names=("two",))}})
        await _until(proxy, ("two",))
        await cluster.events.put({"type": "MODIFIED", "object": {"data": {}}})
        await _until(proxy, None)
        cluster.data = _data(signer, names=("three",))
        await cluster.events.put({"type": "ERROR", "object": {}})
        await _until(proxy, ("three",))
        await cluster.events.put({"type": "DELETED", "object": {}})
        await _until(proxy, None)
        cluster.data = _data(signer, names=("four",))
        await cluster.events.put(None)
        await _until(proxy, ("four",))
        cluster.data = UnavailableError("down")  # type: ignore[assignment]
        looks = cluster.looks
        await cluster.events.put(UnavailableError("cut"))
        async with asyncio.timeout(5):
            while cluster.looks < looks + 3:  # noqa: ASYNC110 nothing tells
                await asyncio.sleep(0.01)
        assert proxy.trust.names == ("four",)
        cluster.data = None
        await _until(proxy, None)
        cluster.data = _data(signer, names=("five",))
        await _until(proxy, ("five",))
        await cluster.events.put(b"nonsense")
        await asyncio.sleep(0.05)
        assert proxy.trust.names == ("five",)


def test_the_log_of_trust_names_no_key() -> None:
    """Only how many authorities there are, and the names."""
    with structlog.testing.capture_logs() as logs:
        proxy = FrontProxy.__new__(FrontProxy)
        proxy.trust = NOBODY
        proxy._take(read_trust(_data(an_authority())))
    assert logs[0]["authorities"] == 1
    assert x509.__name__ not in str(logs)
    assert Person("x").identity()["groups"] == []
