"""The webhook's certificate where the cluster has no cert-manager, made at installation: one of two ways.

:func:`make` makes an authority and a leaf, and throws the authority's key away: nobody can sign with it again, and a
new pair is made by installing again. :func:`make_authority` keeps the key, in a Secret that only the webhook's pods
mount: they sign leaves of 30 days for themselves and renew them (:mod:`toe.kube.authority`).
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE = timedelta(days=365)
AUTHORITY_LIFE = timedelta(days=3650)
_PEM = serialization.Encoding.PEM


class Pair(NamedTuple):
    """Is what the API server trusts, and what the webhook serves; all PEM."""

    authority: str
    certificate: str
    key: str


def make(names: tuple[str, ...], now: datetime) -> Pair:
    """Returns a fresh authority and a leaf for these DNS names, good from now on for a year."""
    signer = ec.generate_private_key(ec.SECP256R1())
    issuer = _name("toe-webhook-ca")
    authority = (
        _builder(issuer, issuer, signer, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(signer, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = (
        _builder(_name(names[0][:64]), issuer, key, now)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return Pair(authority.public_bytes(_PEM).decode(), leaf.public_bytes(_PEM).decode(), _secret(key))


def make_authority(now: datetime) -> tuple[str, str]:
    """Returns a fresh authority and its key, PEM, good from now on for ten years; it signs leaves only."""
    signer = ec.generate_private_key(ec.SECP256R1())
    issuer = _name("toe-webhook-ca")
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    authority = (
        _builder(issuer, issuer, signer, now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(signer, hashes.SHA256())
    )
    return authority.public_bytes(_PEM).decode(), _secret(signer)


def _secret(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta = LIFE
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + life)
    )
