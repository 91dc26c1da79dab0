"""Tickets are signed with the key that is in its file now."""

import os
from pathlib import Path

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.api.test_ticket import NOW, a_ticket
from toe.api.ticket import key_id, verify
from toe.controller.tickets import PREVIOUS, WAIT, TicketKey
from toe.errors import SettingsError


def pem(key: Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    """Is a private key as it stands in a file."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_a_ticket_names_the_key_it_was_signed_with(tmp_path: Path) -> None:
    """So that the collector can hold several."""
    key, file = Ed25519PrivateKey.generate(), tmp_path / "ticket.key"
    file.write_bytes(pem(key))
    text = TicketKey(file).sign(a_ticket())
    assert verify(text, {key_id(key.public_key()): key.public_key()}, NOW) == a_ticket()
    assert TicketKey(file).sign(a_ticket()) == text  # the same ticket, whoever signs it again


def test_an_exchanged_key_signs_the_next_ticket(tmp_path: Path) -> None:
    """Without a restart; half an exchange keeps the key before."""
    keys = [Ed25519PrivateKey.generate() for _ in range(2)]
    file = tmp_path / "ticket.key"
    file.write_bytes(pem(keys[0]))
    signer = TicketKey(file)
    file.write_bytes(b"-----BEGIN")
    assert jwt.get_unverified_header(signer.sign(a_ticket()))["kid"] == key_id(keys[0].public_key())
    file.write_bytes(pem(keys[1]))
    os.utime(file, ns=(1, 1))
    assert jwt.get_unverified_header(signer.sign(a_ticket()))["kid"] == key_id(keys[1].public_key())
    file.unlink()
    assert jwt.get_unverified_header(signer.sign(a_ticket()))["kid"] == key_id(keys[1].public_key())


def test_a_new_key_signs_for_runs_that_come_when_every_collector_has_it(tmp_path: Path) -> None:
    """Until then the one before does, also where the controller has just started: no pod knows which other has what."""
    keys = [Ed25519PrivateKey.generate() for _ in range(2)]
    file, came = tmp_path / "ticket.key", int(NOW.timestamp())
    file.write_bytes(pem(keys[0]))
    running = TicketKey(file)
    (tmp_path / PREVIOUS).write_bytes(pem(keys[0]))
    file.write_bytes(pem(keys[1]))
    os.utime(file, (came, came))
    wait = int(WAIT.total_seconds())
    for signer in (running, TicketKey(file)):
        for created, key in ((came - 3600, 0), (came + wait - 1, 0), (came + wait, 1)):
            text = signer.sign(msgspec.structs.replace(a_ticket(), not_before=created))
            assert jwt.get_unverified_header(text)["kid"] == key_id(keys[key].public_key())
    (tmp_path / PREVIOUS).unlink()  # it leaked: nothing more is signed with it
    assert jwt.get_unverified_header(running.sign(a_ticket()))["kid"] == key_id(keys[1].public_key())


@pytest.mark.parametrize("content", [None, b"", b"no key", pem(X25519PrivateKey.generate())])
def test_nothing_else_is_a_key(tmp_path: Path, content: bytes | None) -> None:
    """The file is named, and what would be one."""
    file = tmp_path / "ticket.key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"ticket\.key"):
        TicketKey(file)
