"""The public keys that tickets are verified with."""

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from toe.api.ticket import key_id
from toe.collector.ticketkeys import TicketKeys

_PEM = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_keys_come_and_go_while_it_runs(tmp_path: Path) -> None:
    """Both of an exchange are good for a while; no directory is no key."""
    keys = TicketKeys(tmp_path / "keys")
    assert keys.current() == {}
    (tmp_path / "keys").mkdir()
    for name in ("old", "new"):
        (tmp_path / "keys" / f"{name}.pem").write_bytes(Ed25519PrivateKey.generate().public_key().public_bytes(*_PEM))
    assert set(keys.current()) == {"old", "new"}
    (tmp_path / "keys" / "old.pem").unlink()
    assert set(keys.current()) == {"new"}


def test_what_is_no_ed25519_key_is_left_out(tmp_path: Path) -> None:
    """Other files, other keys, half a key: the good ones stay."""
    (tmp_path / "good.pem").write_bytes(Ed25519PrivateKey.generate().public_key().public_bytes(*_PEM))
    (tmp_path / "other.pem").write_bytes(generate_private_key(SECP256R1()).public_key().public_bytes(*_PEM))
    (tmp_path / "half.pem").write_bytes((tmp_path / "good.pem").read_bytes()[:40])
    (tmp_path / "away.pem").symlink_to("nowhere")
    (tmp_path / "..data").mkdir()
    (tmp_path / "note.txt").write_text("x")
    assert set(TicketKeys(tmp_path).current()) == {"good"}


def test_a_certificate_holds_a_key_and_nothing_else_of_it_counts(tmp_path: Path) -> None:
    """Helm can make one, and no public key alone; it is known by the key's own id, whatever the file is called."""
    key, other = Ed25519PrivateKey.generate(), generate_private_key(SECP256R1())
    for name, signer in (("ticket", key), ("other", other)):
        named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "anything")])
        made = (
            x509.CertificateBuilder()
            .subject_name(named)
            .issuer_name(named)
            .public_key(signer.public_key())
            .serial_number(1)
            .not_valid_before(datetime(2001, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2001, 1, 2, tzinfo=UTC))
            .sign(signer, None if name == "ticket" else SHA256())  # type: ignore[arg-type]
        )
        (tmp_path / f"{name}.crt").write_bytes(made.public_bytes(Encoding.PEM))
    (tmp_path / "half.crt").write_bytes((tmp_path / "ticket.crt").read_bytes()[:40])
    assert set(TicketKeys(tmp_path).current()) == {key_id(key.public_key())}
