"""Who claimed which ticket."""

import asyncio
import secrets
from pathlib import Path

import pytest

from tests.collector.uploading import NOW, a_ticket, files
from toe.collector.claims import Claims, claim_of, hash_of
from toe.collector.denials import DenialError
from toe.store.directory import DirectoryStore


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "store"


async def test_of_many_at_once_one_claims_a_ticket(place: Path) -> None:
    """Over two replicas, and the others are told whose it is; a repetition is none of them."""
    replicas, ticket = [Claims(DirectoryStore(place)) for _ in range(2)], a_ticket()
    wanted = [claim_of(ticket, secrets.token_hex(32), NOW, "10.0.0.1") for _ in range(20)]
    found = await asyncio.gather(*(replicas[i % 2].make(claim) for i, claim in enumerate(wanted)))
    assert sum(made for _, made in found) == 1
    (winner,) = {claim.session for claim, _ in found}
    (claim,) = [claim for claim in wanted if claim.session == winner]
    assert await replicas[1].make(claim) == (claim, False)
    assert await replicas[0].of_session(winner) == claim


async def test_neither_the_ticket_nor_the_session_is_kept(place: Path) -> None:
    """Only what cannot be used."""
    ticket, session = a_ticket(), secrets.token_hex(32)
    await Claims(DirectoryStore(place)).make(claim_of(ticket, session, NOW, ""))
    content = b"".join(path.read_bytes() + str(path).encode() for path in files(place))
    assert ticket.id.encode() not in content
    assert session.encode() not in content


async def test_a_session_is_good_for_one_ticket(place: Path) -> None:
    """Else it would not be known whose files come."""
    claims, session = Claims(DirectoryStore(place)), secrets.token_hex(32)
    await claims.make(claim_of(a_ticket(), session, NOW, ""))
    other = claim_of(a_ticket(), session, NOW, "")
    with pytest.raises(DenialError, match="one ticket"):
        await claims.make(other)
    assert await claims.of_ticket(other.ticket) is None


async def test_a_claim_ends_and_is_forgotten(place: Path) -> None:
    """With all that was kept of it."""
    claims = Claims(DirectoryStore(place))
    claim, _ = await claims.make(claim_of(a_ticket(), secrets.token_hex(32), NOW, ""))
    assert not await claims.is_ended(claim)
    for _ in range(2):
        await claims.end(claim, b"{}")
    assert await claims.is_ended(claim)
    assert [found async for found in claims.all()] == [claim]
    await claims.forget(claim)
    assert await claims.of_ticket(claim.ticket) is None
    assert await claims.of_session(claim.session) is None
    assert files(place) == []


async def test_what_is_no_claim_is_none(place: Path) -> None:
    """Whoever wrote it."""
    store = DirectoryStore(place)
    await store.create(f".toe/claims/{hash_of('t')}.json", b"{}")
    assert await Claims(store).of_ticket(hash_of("t")) is None
    assert await Claims(store).of_session(hash_of("s")) is None
