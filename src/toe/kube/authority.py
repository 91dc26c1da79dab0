"""An authority of our own where the cluster has no cert-manager: made once at installation, it signs short leaves.

Pods sign for themselves, in memory, and renew at two thirds of a leaf's life: nobody writes a Secret or a caBundle, and
the API server goes on trusting the same authority. A new authority is put in front of the old one in the same file, and
the old one's key beside it (:data:`PREVIOUS`): then the new authority is shown as one that the old one vouches for, so
that who was told of the old one only, such as a tool that is running, and who knows the new one only both accept.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from toe.kube.serving import Pem, stamp_of

PREVIOUS = "previous.key"
"""The name of the file with the key of the authority before, beside the key of the one that signs."""
LIFE = timedelta(days=30)
"""Of a leaf."""
SKEW = timedelta(minutes=5)
"""How far another clock may be behind ours."""
_PEM = serialization.Encoding.PEM
_CA_USAGE = x509.KeyUsage(False, False, False, False, False, True, True, False, False)


class Authority:
    """Signs leaves for ``names`` with the first certificate of a file, and its key."""

    def __init__(
        self,
        certificate: Path,
        key: Path,
        names: tuple[str, ...],
        clock: Callable[[], datetime],
        life: timedelta = LIFE,
    ) -> None:
        self._previous = key.with_name(PREVIOUS)
        self._files, self._names, self._clock, self._life = (certificate, key), names, clock, life
        self._renew_at: datetime | None = None
        self._number = 0

    def __str__(self) -> str:
        """Names the flags, for an error."""
        return f"--ca-cert {self._files[0]} and --ca-key {self._files[1]}"

    def stamp(self) -> object:
        """Returns something new when a leaf has lived two thirds of its life, or the authority is another one."""
        if self._renew_at is not None and self._clock() >= self._renew_at:
            self._renew_at = None
            self._number += 1
        return self._number, stamp_of(*self._files), stamp_of(self._previous)

    def load(self) -> Pem:
        """Signs a leaf; raises OSError or ValueError when the authority cannot."""
        certificate, key = (path.read_bytes() for path in self._files)
        authority, *before = x509.load_pem_x509_certificates(certificate)
        signer = _signer(key)
        now = self._clock()
        end = min(now + self._life, authority.not_valid_after_utc)
        if end <= now:
            raise ValueError(f"the authority has ended at {authority.not_valid_after_utc}")
        leaf_key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [_alternative(name) for name in self._names]
        leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self._names[0][:64])]))
            .issuer_name(authority.subject)
            .public_key(leaf_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(now - SKEW, authority.not_valid_before_utc))
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_identifier(authority), critical=False)
            .sign(signer, hashes.SHA256())
        )
        _insist_on(leaf, authority, "the key is not the authority's")
        chain = [leaf, authority]
        if before and self._previous.exists():
            chain[1] = _vouched_for(authority, before[0], _signer(self._previous.read_bytes()))
        self._renew_at = now + (end - now) * 2 / 3
        secret = leaf_key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return Pem(b"".join(part.public_bytes(_PEM) for part in chain), secret)


def _signer(key: bytes) -> EllipticCurvePrivateKey | RSAPrivateKey:
    signer = serialization.load_pem_private_key(key, password=None)
    if not isinstance(signer, (EllipticCurvePrivateKey, RSAPrivateKey)):
        raise ValueError("the authority's key must be RSA or ECDSA")
    return signer


def _vouched_for(
    authority: x509.Certificate, before: x509.Certificate, signer: EllipticCurvePrivateKey | RSAPrivateKey
) -> x509.Certificate:
    """Returns the same authority, name and key, signed by the one before: RFC 5280 calls it a cross-certificate."""
    made = (
        x509.CertificateBuilder()
        .subject_name(authority.subject)
        .issuer_name(before.subject)
        .public_key(authority.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(authority.not_valid_before_utc, before.not_valid_before_utc))
        .not_valid_after(min(authority.not_valid_after_utc, before.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_CA_USAGE, critical=True)
        .add_extension(_identifier(before), critical=False)
        .add_extension(x509.SubjectKeyIdentifier(_identifier(authority).key_identifier or b""), critical=False)
        .sign(signer, hashes.SHA256())
    )
    _insist_on(made, before, f"{PREVIOUS} is not the key of the second authority")
    return made


def _identifier(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Returns by what an authority's key is known: as its own certificate has it, else its hash."""
    try:
        own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _insist_on(made: x509.Certificate, issuer: x509.Certificate, otherwise: str) -> None:
    try:
        made.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError):
        raise ValueError(otherwise) from None


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
