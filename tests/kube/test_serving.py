"""The certificate follows its source, and who says nothing is let go (which tests/webhook/test_server.py shows)."""

import argparse
import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from tests.builders import NOW
from tests.webhook.pki import START, an_authority
from toe.errors import SettingsError
from toe.kube.serving import Certificate, MountedFiles, chosen_certificate, serving_flags


async def served(port: int) -> str:
    """Returns the subject of what is served at a port."""
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="webhook")
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return x509.load_der_x509_certificate(der).subject.rfc4514_string()


async def test_a_renewed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    """From the next handshake on; half a renewal keeps the old one."""
    authority = an_authority()
    files = authority.issue(tmp_path, "old")
    serving = Certificate(MountedFiles(*files))

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0, ssl=serving.context()) as server:
        port = server.sockets[0].getsockname()[1]
        assert await served(port) == "CN=old"
        good = files[1].read_bytes()
        files[1].write_bytes(b"half")
        assert await served(port) == "CN=old"
        files[1].unlink()
        assert await served(port) == "CN=old"
        files[1].write_bytes(good)
        authority.issue(tmp_path, "new")
        assert await served(port) == "CN=new"


def test_files_that_cannot_be_used_are_told_at_the_start(tmp_path: Path) -> None:
    """With their names."""
    certificate, key = an_authority().issue(tmp_path, "any")
    key.write_text("no key")
    with pytest.raises(SettingsError, match=r"tls\.key"):
        Certificate(MountedFiles(certificate, key))
    with pytest.raises(SettingsError, match="nowhere"):
        Certificate(MountedFiles(tmp_path / "nowhere", key))


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("good", ""),
        ("nobody says what is trusted", ""),
        ("ended", "expired"),
        ("ended, and nobody says what is trusted", "expired"),
        ("another authority", "verify failed"),
        ("another name", "mismatch"),
        ("two authorities, while one follows the other", ""),
    ],
)
def test_readiness_is_what_a_client_would_say(tmp_path: Path, case: str, words: str) -> None:
    """The chain, the dates and the name, checked against what the API server trusts."""
    authority, other = an_authority(), an_authority("other")
    life = timedelta(days=1) if case.startswith("ended") else timedelta(days=36_500)
    files = authority.issue(tmp_path, "webhook.svc", life=life)
    trust, _ = (other if case == "another authority" else authority).save(tmp_path)
    if case.startswith("two"):
        old = trust.read_bytes()
        other.save(tmp_path)
        trust.write_bytes(trust.read_bytes() + old)
    told = None if "nobody" in case else trust
    name = None if "nobody" in case else "elsewhere.svc" if case == "another name" else "webhook.svc"
    missing = Certificate(MountedFiles(*files), trust=told, name=name).missing()
    assert words in missing
    assert bool(missing) == bool(words)


def test_when_it_ends_is_known(tmp_path: Path) -> None:
    """For the metric; 0 when it has ended already."""
    files = an_authority().issue(tmp_path, "webhook.svc", life=timedelta(days=36_500))
    ends = (START + timedelta(days=36_500)).timestamp()
    assert Certificate(MountedFiles(*files)).not_after == ends
    files = an_authority().issue(tmp_path, "webhook.svc", life=timedelta(days=1))
    assert Certificate(MountedFiles(*files)).not_after == 0


def _options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    serving_flags(parser)
    return parser.parse_args(arguments)


def test_flags_say_which_certificate_is_served(tmp_path: Path) -> None:
    """Mounted files, or one that an authority signs for the Service's names; neither and both are told."""
    authority = an_authority()
    certificate, key = map(str, authority.issue(tmp_path, "webhook.svc"))
    ca_cert, ca_key = map(str, authority.save(tmp_path))
    mounted = ("--tls-cert", certificate, "--tls-key", key)
    own = ("--ca-cert", ca_cert, "--ca-key", ca_key)
    assert chosen_certificate(_options(*mounted), ("webhook.svc",), lambda: NOW).missing() == ""
    chosen_certificate(_options(*own), ("webhook.svc",), lambda: NOW)
    for flags in ((), mounted[:2], (*mounted, *own)):
        with pytest.raises(SettingsError, match="either"):
            chosen_certificate(_options(*flags), ("webhook.svc",), lambda: NOW)
