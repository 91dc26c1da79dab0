"""An authority of our own signs leaves that pods renew by themselves."""

import asyncio
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise, permutations
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.webhook.pki import START, Signer, an_authority
from toe.errors import SettingsError
from toe.kube.authority import LIFE, PREVIOUS, SKEW, Authority
from toe.kube.serving import Certificate, Pem, _handshake
from toe.main import now

NAMES = ("webhook.toe-system.svc", "webhook.toe-system", "192.0.2.7")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
PEM = Encoding.PEM


class Clock:
    """Is a clock that a test turns."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def leaf(pem: Pem) -> x509.Certificate:
    """Is the first certificate of a chain."""
    return x509.load_pem_x509_certificates(pem.chain)[0]


def test_a_leaf_is_for_the_names_and_no_authority_itself(tmp_path: Path) -> None:
    """Signed by the authority, good from a little before now on."""
    signer = an_authority()
    pem = Authority(*signer.save(tmp_path), NAMES, lambda: NOW).load()
    made = leaf(pem)
    made.verify_directly_issued_by(signer.certificate)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert tuple(str(name.value) for name in names) == NAMES
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert (made.not_valid_before_utc, made.not_valid_after_utc) == (NOW - SKEW, NOW + LIFE)


def test_a_leaf_is_renewed_at_two_thirds_of_its_life(tmp_path: Path) -> None:
    """Not before; and over three renewals there is no moment without a good leaf."""
    clock = Clock()
    authority = Authority(*an_authority().save(tmp_path), NAMES, clock)
    seen, pem = authority.stamp(), authority.load()
    leaves = [leaf(pem)]
    for _ in range(24 * 65):
        clock.now += timedelta(hours=1)
        if authority.stamp() != seen:
            seen, pem = authority.stamp(), authority.load()
            leaves.append(leaf(pem))
        assert leaves[-1].not_valid_before_utc < clock.now < leaves[-1].not_valid_after_utc
    assert len(leaves) == 4
    for before, after in pairwise(leaves):
        assert after.not_valid_before_utc + SKEW - before.not_valid_before_utc - SKEW == LIFE * 2 / 3


def test_a_new_authority_is_taken_up_at_once(tmp_path: Path) -> None:
    """It comes first in the file; the old one stays behind it for clients that trust only that."""
    old = an_authority("old")
    files = old.save(tmp_path)
    authority = Authority(*files, NAMES, lambda: NOW)
    seen = authority.stamp()
    assert leaf(authority.load()).issuer == old.certificate.subject
    before = files[0].read_bytes()
    new = an_authority("new")
    new.save(tmp_path)
    files[0].write_bytes(files[0].read_bytes() + before)
    assert authority.stamp() != seen
    assert leaf(authority.load()).issuer == new.certificate.subject


@pytest.mark.parametrize("case", ["another's key", "no key", "ended", "nothing"])
def test_an_authority_that_cannot_sign_is_told_at_the_start(tmp_path: Path, case: str) -> None:
    """With the flags that named it."""
    signer = an_authority(life=timedelta(days=1) if case == "ended" else timedelta(days=9000))
    certificate, key = signer.save(tmp_path)
    if case == "another's key":
        signer._replace(key=an_authority().key).save(tmp_path)
    elif case == "no key":
        key.write_text("no key")
    elif case == "nothing":
        certificate.unlink()
    with pytest.raises(SettingsError, match=r"--ca-cert .* and --ca-key"):
        Certificate(Authority(certificate, key, NAMES, lambda: NOW))
    assert START < NOW


async def test_renewal_under_load_fails_no_connection(tmp_path: Path) -> None:
    """Leaves of four seconds, and clients that check everything, all the time, over three renewals."""

    def now() -> datetime:
        return datetime.now(UTC)  # noqa: TID251 the clients' clock is the real one

    trust, key = an_authority().save(tmp_path)
    authority = Authority(trust, key, ("localhost",), now, timedelta(seconds=4))
    serving = Certificate(authority, trust=trust, name="localhost")
    client = ssl.create_default_context(cafile=str(trust))
    seen: set[int] = set()

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0, ssl=serving.context()) as server:
        port = server.sockets[0].getsockname()[1]
        while len(seen) < 4:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="localhost")
            der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            seen.add(x509.load_der_x509_certificate(der).serial_number)
            writer.close()
            await writer.wait_closed()
            assert serving.missing() == ""
            await asyncio.sleep(0.005)


def _accepts(trusted: bytes, serving: Certificate) -> bool:
    """Tells whether a client of Python's that trusts just this accepts what is served."""
    client = ssl.create_default_context(cadata=trusted.decode())
    try:
        _handshake(client, serving.context(), NAMES[0])
    except ssl.SSLError:
        return False
    return True


def roll_over(place: Path, new: Signer, *, order: tuple[str, ...] = (PREVIOUS, "ca.crt", "ca.key")) -> Iterator[str]:
    """Puts a new authority before the one in a directory, one file after the other; yields after each."""
    old = {name: (place / name).read_bytes() for name in ("ca.crt", "ca.key")}
    (made := place / "made").mkdir()
    certificate, key = (path.read_bytes() for path in new.save(made))
    contents = {PREVIOUS: old["ca.key"], "ca.crt": certificate + old["ca.crt"], "ca.key": key}
    for name in order:
        (place / name).write_bytes(contents[name])
        yield name


ROLL_OVERS = {
    "other names": [an_authority(name, below=None) for name in ("toe-ca 1", "toe-ca 2")],
    "the same name": [an_authority("toe-ca", below=None, identified=True) for _ in range(2)],
}
"""Two authorities of the same name are told apart by what they say of their keys."""


@pytest.mark.parametrize("case", ROLL_OVERS)
def test_after_a_roll_over_who_knows_the_old_one_and_who_knows_the_new_one_both_accept(
    tmp_path: Path, case: str
) -> None:
    """A tool that was started before trusts the old authority alone; whoever comes later may know the new one alone."""
    old, new = ROLL_OVERS[case]
    certificate, key = old.save(tmp_path)
    one, other = (signer.certificate.public_bytes(PEM) for signer in (old, new))
    serving = Certificate(Authority(certificate, key, NAMES, now), trust=certificate, name=NAMES[0])
    assert [_accepts(bundle, serving) for bundle in (one, other)] == [True, False]
    for _ in roll_over(tmp_path, new):
        pass
    assert serving.missing() == ""
    assert [_accepts(bundle, serving) for bundle in (one, other, one + other, other + one)] == [True] * 4
    assert not _accepts(an_authority().certificate.public_bytes(PEM), serving)


@pytest.mark.parametrize("order", list(permutations((PREVIOUS, "ca.crt", "ca.key"))), ids=" ".join)
def test_half_a_roll_over_is_as_good_as_none(tmp_path: Path, order: tuple[str, ...]) -> None:
    """Whichever file comes first, what is served fits what is trusted, and when it ends is known."""
    old, new = ROLL_OVERS["other names"]
    certificate, key = old.save(tmp_path)
    serving = Certificate(Authority(certificate, key, NAMES, now), trust=certificate, name=NAMES[0])
    for _ in roll_over(tmp_path, new, order=order):
        assert serving.missing() == ""
        assert serving.not_after > now().timestamp()
        assert _accepts(certificate.read_bytes(), serving)
    assert _accepts(old.certificate.public_bytes(PEM), serving)


def test_another_key_than_that_of_the_authority_before_is_told(tmp_path: Path) -> None:
    """It could vouch for nobody."""
    certificate, key = an_authority("old").save(tmp_path)
    for _ in roll_over(tmp_path, an_authority("new")):
        pass
    (tmp_path / PREVIOUS).write_bytes(key.read_bytes())
    with pytest.raises(ValueError, match="not the key of the second authority"):
        Authority(certificate, key, NAMES, now).load()
