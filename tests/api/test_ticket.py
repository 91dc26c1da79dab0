"""A ticket says one thing, is signed by the controller, and is good for nothing else."""

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from toe.api.ticket import ALGORITHM, LEEWAY_SECONDS, MOST_BYTES, TYPE, Ticket, sign, verify
from toe.errors import DecodeError

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
KEY = Ed25519PrivateKey.generate()
OTHER = Ed25519PrivateKey.generate()
KEYS = {"2": KEY.public_key(), "1": OTHER.public_key()}


def a_ticket(**changes: Any) -> Ticket:
    """Is a ticket of alice's run, good for an hour."""
    ticket = Ticket(
        id="Jd3kq0aXnJ8mP2sT6vW9yA",
        namespace="production",
        run="profile-web",
        run_uid="5f1c6a0e-0000-4000-8000-000000000001",
        tool="py-spy",
        pod="web-1",
        pod_uid="5f1c6a0e-0000-4000-8000-000000000002",
        container="toe-py-spy-4be19c07aa",
        target="app",
        max_bytes=1 << 30,
        expires=int((NOW + timedelta(hours=1)).timestamp()),
        not_before=int(NOW.timestamp()),
        pod_ips=("10.1.0.7",),
    )
    return msgspec.structs.replace(ticket, **changes)


def claims(**changes: Any) -> dict[str, Any]:
    """Is what a ticket says, as it stands on the wire."""
    return {**msgspec.to_builtins(a_ticket()), **changes}


def made(claims: dict[str, Any], *, key: Any = KEY, kid: str = "2", alg: str = ALGORITHM, typ: str = TYPE) -> str:
    """Is a token as anybody could make one."""
    return jwt.encode(claims, key, algorithm=alg, headers={"kid": kid, "typ": typ})


def test_what_is_signed_is_what_is_read() -> None:
    """Every claim arrives, and issuer and audience are in what is signed."""
    text = sign(a_ticket(), KEY, "2")
    assert verify(text, KEYS, NOW) == a_ticket()
    assert jwt.decode(text, options={"verify_signature": False})["aud"] == "toe-collector"
    assert len(text) < 1024
    assert a_ticket().expires_at == NOW + timedelta(hours=1)


def test_an_older_key_is_good_for_as_long_as_it_is_known() -> None:
    """Keys are exchanged with overlap."""
    text = sign(a_ticket(), OTHER, "1")
    assert verify(text, KEYS, NOW) == a_ticket()
    with pytest.raises(DecodeError, match="a key that is not known here"):
        verify(text, {"2": KEY.public_key()}, NOW)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "this is no ticket"),
        ("a.b.c", "this is no ticket"),
        ("x" * (MOST_BYTES + 1), "at most 4096 bytes"),
        (made(claims(), key="k" * 32, alg="HS256"), "not of the kind"),
        (made(claims(), typ="JWT"), "not of the kind"),
        (made(claims(), key=None, alg="none"), "not of the kind"),
        (made(claims(), kid="9"), "a key that is not known"),
        (made(claims(), key=OTHER), "its signature does not fit"),
        (made(claims(aud="kubernetes")), "by or for somebody else"),
        (made(claims(iss="kubernetes/serviceaccount")), "by or for somebody else"),
        (made({k: v for k, v in claims().items() if k != "aud"}), "by or for somebody else"),
        (made(claims(runUid="")), "lacks what a ticket says"),
        (made(claims(maxBytes=-1)), "lacks what a ticket says"),
        (made(claims(exp="never")), "lacks what a ticket says"),
        (made(claims(exp=int(NOW.timestamp()))), "it has expired"),
        (made(claims(nbf=int(NOW.timestamp()) + LEEWAY_SECONDS + 1)), "it is not good yet"),
    ],
)
def test_anything_else_is_no_ticket(text: str, why: str) -> None:
    """Another signature, another kind, another audience, another time: the reason is told and nothing is quoted."""
    with pytest.raises(DecodeError, match=why) as caught:
        verify(text, KEYS, NOW)
    assert not text or text not in str(caught.value)


def test_any_changed_character_of_the_claims_breaks_it() -> None:
    """The signature covers header and claims."""
    text = sign(a_ticket(), KEY, "2")
    end = text.rindex(".")
    for place in range(0, end, 7):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        with pytest.raises(DecodeError):
            verify(changed, KEYS, NOW)
