"""Certificates of all kinds, as files: good ones, ended ones, and ones that somebody else signed."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

START = datetime(2020, 1, 1, tzinfo=UTC)
AGES = timedelta(days=36_500)
_PEM = serialization.Encoding.PEM


class Signer(NamedTuple):
    """Is an authority."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def save(self, place: Path) -> tuple[Path, Path]:
        """Writes ``ca.crt`` and ``ca.key``."""
        return _save(place / "ca.crt", self.certificate), _save(place / "ca.key", self.key)

    def issue(self, place: Path, name: str, *, start: datetime = START, life: timedelta = AGES) -> tuple[Path, Path]:
        """Writes ``tls.crt`` and ``tls.key``, good for one DNS name or address."""
        key = ec.generate_private_key(ec.SECP256R1())
        built = _builder(name, self.certificate.subject, key, start, life).add_extension(
            x509.SubjectAlternativeName([_alternative(name)]), critical=False
        )
        return _save(place / "tls.crt", built.sign(self.key, hashes.SHA256())), _save(place / "tls.key", key)


def an_authority(
    name: str = "authority",
    *,
    start: datetime = START,
    life: timedelta = AGES,
    below: int | None = 0,
    identified: bool = False,
) -> Signer:
    """Makes an authority; ``below`` is how many others may stand between it and a leaf.

    ``identified``: it says which key it has, as Helm's and cert-manager's do.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    built = _builder(name, subject, key, start, life)
    for extension in (
        x509.BasicConstraints(ca=True, path_length=below),
        x509.KeyUsage(False, False, False, False, False, True, True, False, False),
    ):
        built = built.add_extension(extension, critical=True)
    if identified:
        built = built.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return Signer(built.sign(key, hashes.SHA256()), key)


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, start: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + life)
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _save(path: Path, what: x509.Certificate | ec.EllipticCurvePrivateKey) -> Path:
    if isinstance(what, x509.Certificate):
        path.write_bytes(what.public_bytes(_PEM))
    else:
        path.write_bytes(what.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return path
