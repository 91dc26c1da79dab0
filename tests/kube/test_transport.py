"""Promises of the transport: the server is who it should be, and so are we."""

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.kube.scripted import Scripted, a_pod, says
from toe.errors import SettingsError, UnavailableError
from toe.kube.access import Access, Impersonation
from toe.kube.client import Client
from toe.kube.credentials import Credential, Files
from toe.kube.resource import PODS
from toe.kube.transport import Transport, tls

Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]
EPOCH = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


def a_certificate(name: str, issuer: Pair | None = None) -> Pair:
    """Makes a certificate for ``name``, 127.0.0.1 and localhost, signed by ``issuer`` or by itself as an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = [x509.DNSName(name), x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    authority = issuer[0] if issuer else None
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.subject if authority else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(EPOCH)
        .not_valid_after(EPOCH + datetime.timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


def pem(pair: Pair) -> tuple[bytes, bytes]:
    certificate, key = pair
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


CA = a_certificate("ca")
CA_PEM = pem(CA)[0]


@asynccontextmanager
async def tls_server(folder: Path) -> AsyncIterator[tuple[str, list[str]]]:
    """Serves pods over TLS to holders of a certificate, and tells whose certificates came."""
    seen: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peer = request.transport.get_extra_info("peercert") or {}
        subject = dict(pair for part in peer.get("subject", ()) for pair in part)
        seen.append(subject.get("commonName", "nobody"))
        return await says(a_pod())(request)

    certificate, key = pem(a_certificate("server.example", CA))
    (folder / "server.pem").write_bytes(certificate + key)
    (folder / "ca.pem").write_bytes(CA_PEM)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "server.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}", seen
    finally:
        await runner.cleanup()


async def test_a_server_of_another_authority_is_refused(tmp_path: Path) -> None:
    """Nothing is sent to a server whose certificate our authority did not sign, unless that was switched off."""
    async with tls_server(tmp_path) as (url, seen):
        stranger = pem(a_certificate("other ca"))[0]
        async with Client(Access(url, ca_data=stranger), deadline=3) as client:
            with pytest.raises(UnavailableError, match="no connection"):
                await client.get(PODS, "n", "a")
        assert seen == []
        for access in (
            Access(url, ca_data=CA_PEM),
            Access(url, ca_file=tmp_path / "ca.pem"),
            Access(url, insecure_skip_tls_verify=True),
        ):
            async with Client(access) as client:
                await client.get(PODS, "n", "a")
        assert seen == ["nobody"] * 3


async def test_the_servers_name_may_be_another_one(tmp_path: Path) -> None:
    """tls-server-name is what the certificate is checked against."""
    async with tls_server(tmp_path) as (url, _):
        async with Client(Access(url, ca_data=CA_PEM, tls_server_name="server.example")) as client:
            await client.get(PODS, "n", "a")
        async with Client(Access(url, ca_data=CA_PEM, tls_server_name="other.example"), deadline=3) as client:
            with pytest.raises(UnavailableError, match="no connection"):
                await client.get(PODS, "n", "a")


async def test_a_renewed_client_certificate_is_shown(tmp_path: Path) -> None:
    """When the certificate's files change, new connections show the new one while old requests run to their end."""
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    async with tls_server(tmp_path) as (url, seen):
        source = Files(certificate=certificate, key=key, max_age=0.0)
        async with Client(Access(url, ca_data=CA_PEM, credentials=source)) as client:
            for name in ("one", "two", "three", "four"):
                certificate_pem, key_pem = pem(a_certificate(name, CA))
                certificate.write_bytes(certificate_pem)
                key.write_bytes(key_pem)
                await asyncio.gather(*[client.get(PODS, "n", "a") for _ in range(3)])
                await client.get(PODS, "n", "a")
        assert seen == [name for name in ("one", "two", "three", "four") for _ in range(4)]


async def test_half_a_renewal_is_not_used(tmp_path: Path) -> None:
    """While a certificate was replaced and its key not yet, the old pair goes on working."""
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    pairs = [pem(a_certificate(name, CA)) for name in ("one", "two")]
    async with tls_server(tmp_path) as (url, seen):
        source = Files(certificate=certificate, key=key, max_age=0.0)
        async with Client(Access(url, ca_data=CA_PEM, credentials=source)) as client:
            for certificate_pem, key_pem in (pairs[0], (pairs[1][0], pairs[0][1]), pairs[1]):
                certificate.write_bytes(certificate_pem)
                key.write_bytes(key_pem)
                await client.get(PODS, "n", "a")
        assert seen == ["one", "one", "two"]


async def test_a_renewed_authority_is_read_again(tmp_path: Path) -> None:
    """When the server's certificate does not fit, the authority's file is read again before the next try."""
    async with tls_server(tmp_path) as (url, seen):
        authority = tmp_path / "mounted.pem"
        authority.write_bytes(pem(a_certificate("old ca"))[0])
        async with Client(Access(url, ca_file=authority), deadline=20) as client:
            with pytest.raises(UnavailableError):
                await client.get(PODS, "n", "a")
            authority.write_bytes(CA_PEM)
            await client.get(PODS, "n", "a")
        assert seen == ["nobody"]


async def test_all_headers_are_sent() -> None:
    """Token and impersonation go with every request."""
    async with Scripted([says(a_pod())]) as server:
        access = Access(server.url, credentials=_Token(), impersonate=Impersonation("u", "", ("g",), {"k": ("v",)}))
        async with Client(access) as client:
            await client.get(PODS, "n", "a")
        headers = server.asked[0].headers
        assert headers["Authorization"] == "Bearer t"
        assert headers["Impersonate-User"] == "u"
        assert headers["Impersonate-Group"] == "g"
        assert headers["Impersonate-Extra-k"] == "v"


class _Token:
    async def get(self, *, refused: Credential | None = None) -> Credential:
        return Credential("Bearer t")


async def test_a_proxy_is_used() -> None:
    """With proxy-url requests go to the proxy."""
    async with Scripted([says(a_pod())]) as proxy:
        async with Client(Access("http://api.invalid:80", proxy_url=proxy.url)) as client:
            await client.get(PODS, "n", "a")
        assert len(proxy.asked) == 1


@pytest.mark.parametrize(
    ("access", "credential", "words"),
    [
        (Access("https://h", ca_data=b"nonsense"), Credential(), "certificate authority"),
        (Access("https://h", ca_file=Path("/nonexistent/ca.crt")), Credential(), "/nonexistent/ca.crt"),
        (Access("https://h"), Credential("", b"nonsense", b"nonsense"), "client certificate"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_named(access: Access, credential: Credential, words: str) -> None:
    """SettingsError says which certificate is unusable."""
    with pytest.raises(SettingsError, match=words):
        tls(access, credential)


def test_old_protocols_are_refused() -> None:
    """TLS 1.2 is the least."""
    assert tls(Access("https://h"), Credential()).minimum_version >= ssl.TLSVersion.TLSv1_2


async def test_closing_twice_is_harmless() -> None:
    """A transport that was never used, or is closed already, closes without a word."""
    transport = Transport(Access("http://127.0.0.1:1"))
    await transport.close()
    await transport.prepare()
    await transport.close()
    await transport.close()
    with pytest.raises(RuntimeError, match="prepare"):
        async with transport.request("GET", "http://127.0.0.1:1/", headers={}):
            pass
