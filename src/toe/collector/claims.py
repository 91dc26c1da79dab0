"""Who claimed which ticket: one object of the store for each, so that of many at once exactly one succeeds.

Neither the ticket's id nor the session is kept, only their sha256. A second object leads from the session to the claim,
so that any replica finds it, also after a restart.
"""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from toe.api.meta import Struct
from toe.api.ticket import Ticket
from toe.collector.denials import bad_request
from toe.errors import ExistsError, MissingError, StoreError
from toe.store.names import CLAIMS, COMPLETE, SESSIONS, artifact_key
from toe.store.port import Store

MOST_BYTES = 64 * 1024
_Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Claim(Struct, frozen=True, omit_defaults=False):
    """Is a claimed ticket: what it said, who claimed it, when and from where."""

    ticket: _Hash
    session: _Hash
    claimed_at: Annotated[datetime, msgspec.Meta(tz=True)]
    peer: str
    namespace: str
    run: str
    run_uid: str
    tool: str
    pod: str
    pod_uid: str
    container: str
    target: str
    max_bytes: int
    expires: int
    """Seconds since the epoch."""
    retention_days: int | None = None
    pod_ips: tuple[str, ...] = ()

    @property
    def expires_at(self) -> datetime:
        """Is when its ticket's time is over."""
        return datetime.fromtimestamp(self.expires, UTC)

    def key_of(self, name: str) -> str:
        """Returns where a file of this name is kept."""
        return artifact_key(
            namespace=self.namespace,
            run=self.run,
            run_uid=self.run_uid,
            day=self.claimed_at.astimezone(UTC).date(),
            pod=self.pod,
            name=name,
        )

    @property
    def prefix(self) -> str:
        """Is what the keys of all its files begin with."""
        return self.key_of("any").rpartition("/")[0] + "/"


def hash_of(secret: str) -> str:
    """Returns what is kept instead of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def claim_of(ticket: Ticket, session: str, now: datetime, peer: str) -> Claim:
    """Returns the claim of a ticket with a session."""
    return Claim(
        ticket=hash_of(ticket.id),
        session=hash_of(session),
        claimed_at=now,
        peer=peer,
        namespace=ticket.namespace,
        run=ticket.run,
        run_uid=ticket.run_uid,
        tool=ticket.tool,
        pod=ticket.pod,
        pod_uid=ticket.pod_uid,
        container=ticket.container,
        target=ticket.target,
        max_bytes=ticket.max_bytes,
        expires=ticket.expires,
        retention_days=ticket.retention_days,
        pod_ips=ticket.pod_ips,
    )


class Claims:
    """Keeps claims in a store. StoreError when the store does not do it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def make(self, claim: Claim) -> tuple[Claim, bool]:
        """Returns the claim that counts, and whether it was made now; it is another one's where the sessions differ."""
        await self._expect_free(claim)
        key = _claim_key(claim.ticket)
        made = True
        try:
            await self._store.create(key, msgspec.json.encode(claim))
        except ExistsError:
            made, kept = False, await self.of_ticket(claim.ticket)
            if kept is None:
                raise StoreError(f"{key} is kept, and is none of ours") from None
            if kept.session != claim.session:
                return kept, False
            claim = kept
        try:
            await self._store.create(_session_key(claim.session), claim.ticket.encode())
        except ExistsError:
            await self._expect_free(claim)
        return claim, made

    async def _expect_free(self, claim: Claim) -> None:
        """Refuses a session that another ticket was claimed with: it would not be known whose files come."""
        found = await self._read(_session_key(claim.session))
        if found is not None and found != claim.ticket.encode():
            raise bad_request("a session is good for one ticket")

    async def of_ticket(self, ticket: str) -> Claim | None:
        """Returns the claim of a ticket by the hash of its id; None when there is none."""
        content = await self._read(_claim_key(ticket))
        try:
            return None if content is None else msgspec.json.decode(content, type=Claim)
        except msgspec.DecodeError:
            return None

    async def of_session(self, session: str) -> Claim | None:
        """Returns the claim of a session by its hash; None when there is none."""
        ticket = await self._read(_session_key(session))
        claim = None if ticket is None else await self.of_ticket(ticket.decode("ascii", "replace"))
        return claim if claim is not None and claim.session == session else None

    async def all(self) -> AsyncIterator[Claim]:
        """Yields every claim that is kept."""
        async for kept in self._store.list(CLAIMS):
            claim = await self.of_ticket(kept.key.removeprefix(CLAIMS).removesuffix(".json"))
            if claim is not None:
                yield claim

    async def forget(self, claim: Claim) -> None:
        """Removes all that is kept of a claim; its ticket must have expired."""
        for key in (_complete_key(claim.ticket), _session_key(claim.session), _claim_key(claim.ticket)):
            await self._store.delete(key)

    async def end(self, claim: Claim, content: bytes) -> None:
        """Keeps that nothing more comes."""
        try:
            await self._store.create(_complete_key(claim.ticket), content)
        except ExistsError:
            return

    async def is_ended(self, claim: Claim) -> bool:
        """Tells whether nothing more may come."""
        return await self._store.stat(_complete_key(claim.ticket)) is not None

    async def _read(self, key: str) -> bytes | None:
        content = bytearray()
        try:
            async for piece in self._store.read(key, 0, MOST_BYTES):
                content += piece
        except MissingError:
            return None
        return bytes(content)


def _claim_key(ticket: str) -> str:
    return f"{CLAIMS}{ticket}.json"


def _complete_key(ticket: str) -> str:
    return f"{COMPLETE}{ticket}.json"


def _session_key(session: str) -> str:
    return f"{SESSIONS}{session}"
