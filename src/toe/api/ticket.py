"""Ticket: what lets one supervisor speak for one tool container at the collector, and nothing else.

Not a Kubernetes token: the API server does not know it. It is signed by the controller (Ed25519, RFC 8037) and
verified by the collector, which holds public keys only and so can make none. It stands in the pod's spec, where it can
be read; it is good for one claim (see docs/reference/collector.md), and useless for reading.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jwt.types import Options

from toe.api.meta import Struct
from toe.errors import DecodeError

ISSUER = "toe-controller"
AUDIENCE = "toe-collector"
ALGORITHM = "EdDSA"
TYPE = "toe-ticket+jwt"
MOST_BYTES = 4096
LEEWAY_SECONDS = 60
"""How far the clocks of two nodes may be apart: a ticket is good from this long before it was made."""

_COMPARED_HERE: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
}
"""Times against the clock that we are given, the rest beside them."""

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Ticket(Struct, frozen=True, omit_defaults=False):
    """Is what a ticket says: which container of which pod for which run, how much, and until when.

    ``expires`` and ``not_before`` are seconds since the epoch. ``max_bytes`` is 0 where the run uploads nothing and
    only holds a lease. ``retention_days`` is None where the run asked for no time of its own.
    """

    id: Annotated[str, msgspec.Meta(min_length=16, max_length=64)] = msgspec.field(name="jti")
    namespace: _Name
    run: _Name
    run_uid: _Id
    tool: _Name
    pod: _Name
    pod_uid: _Id
    container: _Name
    """The tool's container; the target's is ``target``."""
    target: _Name
    max_bytes: _Count
    expires: _Count = msgspec.field(name="exp")
    not_before: _Count = msgspec.field(name="nbf")
    issuer: str = msgspec.field(name="iss", default=ISSUER)
    audience: str = msgspec.field(name="aud", default=AUDIENCE)
    retention_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] | None = None
    pod_ips: tuple[str, ...] = ()
    """The pod's addresses when the ticket was made; empty where they were not known."""

    def is_expired(self, now: datetime) -> bool:
        """Tells whether its time is over."""
        return now.timestamp() >= self.expires

    @property
    def expires_at(self) -> datetime:
        """Is when its time is over."""
        return datetime.fromtimestamp(self.expires, UTC)


def key_id(key: Ed25519PublicKey) -> str:
    """Returns the id that a key is known by: the first 16 hex digits of the sha256 of its 32 bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def sign(ticket: Ticket, key: Ed25519PrivateKey, kid: str) -> str:
    """Returns the ticket as a compact JWS with ``kid`` in its header, so that keys can be exchanged with overlap."""
    return jwt.encode(msgspec.to_builtins(ticket), key, algorithm=ALGORITHM, headers={"kid": kid, "typ": TYPE})


def verify(text: str, keys: Mapping[str, Ed25519PublicKey], now: datetime) -> Ticket:
    """Returns what a ticket says; DecodeError, which quotes nothing of it, when it is not good at ``now``."""
    if len(text) > MOST_BYTES:
        raise DecodeError(f"a ticket has at most {MOST_BYTES} bytes", source="ticket")
    try:
        header = jwt.get_unverified_header(text)
    except jwt.PyJWTError:
        raise DecodeError("this is no ticket", source="ticket") from None
    if header.get("alg") != ALGORITHM or header.get("typ") != TYPE:
        raise DecodeError("it is not of the kind that toe signs", source="ticket")
    key = keys.get(str(header.get("kid")))
    if key is None:
        raise DecodeError("it was signed with a key that is not known here", source="ticket")
    try:
        claims = jwt.decode(text, key, algorithms=[ALGORITHM], options=_COMPARED_HERE)
    except jwt.PyJWTError:
        raise DecodeError("its signature does not fit", source="ticket") from None
    if (claims.get("iss"), claims.get("aud")) != (ISSUER, AUDIENCE):
        raise DecodeError("it was made by or for somebody else", source="ticket")
    try:
        ticket = msgspec.convert(claims, Ticket)
    except msgspec.ValidationError:
        raise DecodeError("it lacks what a ticket says", source="ticket") from None
    if now.timestamp() < ticket.not_before - LEEWAY_SECONDS:
        raise DecodeError("it is not good yet", source="ticket")
    if ticket.is_expired(now):
        raise DecodeError("it has expired", source="ticket")
    return ticket
