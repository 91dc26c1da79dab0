"""The certificate that the API server sees follows the file."""

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from toe.errors import SettingsError
from toe.webhook.certificates import Certificate


def write(place: Path, name: str) -> tuple[Path, Path]:
    """Writes a self-signed certificate with this common name, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    certificate, secret = place / "tls.crt", place / "tls.key"
    pem = serialization.Encoding.PEM
    secret.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    certificate.write_bytes(built.public_bytes(pem))
    return certificate, secret


async def _served(port: int) -> str:
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="webhook")
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return x509.load_der_x509_certificate(der).subject.rfc4514_string()


async def test_a_renewed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    """From the next handshake on; half a renewal keeps the old one."""
    certificate, key = write(tmp_path, "old")
    serving = Certificate(certificate, key)

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0, ssl=serving.context()) as server:
        port = server.sockets[0].getsockname()[1]
        assert await _served(port) == "CN=old"
        good = key.read_bytes()
        key.write_bytes(b"half")
        assert await _served(port) == "CN=old"
        key.write_bytes(good)
        write(tmp_path, "new")
        assert await _served(port) == "CN=new"


def test_files_that_cannot_be_used_are_told_at_the_start(tmp_path: Path) -> None:
    """With their names."""
    certificate, key = write(tmp_path, "any")
    key.write_text("no key")
    with pytest.raises(SettingsError, match=r"tls\.key"):
        Certificate(certificate, key)
    with pytest.raises(SettingsError, match="nowhere"):
        Certificate(tmp_path / "nowhere", key)
