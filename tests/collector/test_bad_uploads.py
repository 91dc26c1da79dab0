"""What must not come in: each bad upload is answered as stated, by the real program, and leaves nothing behind.

These are the cases of the security design's bad-input matrix (area "upload"). toe-run itself sends none of them.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.collector.stage import (
    CLOSED,
    NAMESPACE,
    RUN,
    Collector,
    Said,
    a_session,
    as_json,
    chunk,
    collecting,
    digest,
    encoded,
    request,
)
from tests.collector.toyapi import ToyApi
from toe.api.ticket import sign

pytestmark = pytest.mark.process

CHUNK = b"main;work 1\n" * 100
MOST_CHUNK = 4 * 1024 * 1024


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Collector, ToyApi]]:
    """One collector for all cases: what one of them leaves behind, the next one finds."""
    async with collecting(tmp_path_factory.mktemp("collector"), "--low-water", "1Mi") as (collector, api):
        yield collector, api


@pytest.fixture(scope="module")
def collector(place: tuple[Collector, ToyApi]) -> Collector:
    return place[0]


@pytest.fixture(scope="module")
def api(place: tuple[Collector, ToyApi]) -> ToyApi:
    return place[1]


def _is(said: Said, expected: str) -> bool:
    """Compares with ``STATUS Reason``; ``closed`` is a connection that ended without an answer."""
    if said is CLOSED or said.status == 0:
        return "closed" in expected.split(" or ")
    return any(
        str(said.status) == status and (not reason or said.reason == reason)
        for status, _, reason in (one.partition(" ") for one in expected.split(" or "))
    )


# Tickets: what stands behind Authorization at a claim.

BEARERS: dict[str, tuple[str, Callable[[Collector], list[str]]]] = {
    "no header": ("401 BadTicket", lambda c: []),
    "two headers": ("401 BadTicket", lambda c: [f"Bearer {c.tickets.sign()}"] * 2),
    "two different headers": ("401 BadTicket", lambda c: [f"Bearer {c.tickets.sign()}", "Basic YTpi"]),
    "Basic": ("401 BadTicket", lambda c: ["Basic dXNlcjpwYXNz"]),
    "an empty header": ("401 BadTicket", lambda c: [""]),
    "an empty bearer": ("401 BadTicket", lambda c: ["Bearer "]),
    "the word alone": ("401 BadTicket", lambda c: ["Bearer"]),
    "no word": ("401 BadTicket", lambda c: [c.tickets.sign()]),
    "two tokens": ("401 BadTicket", lambda c: [f"Bearer {c.tickets.sign()} {c.tickets.sign()}"]),
    "two tokens and a comma": ("401 BadTicket", lambda c: [f"Bearer {c.tickets.sign()},{c.tickets.sign()}"]),
    "64 KiB": ("400 BadRequest", lambda c: ["Bearer " + "a" * 65536]),
    "7 KiB": ("401 BadTicket", lambda c: ["Bearer " + "a" * 7168]),
    "not ASCII": ("401 BadTicket or 400 BadRequest", lambda c: ["Bearer " + "\xe9" * 100]),
    "no JWS": ("401 BadTicket", lambda c: ["Bearer a.b.c"]),
    "dots": ("401 BadTicket", lambda c: ["Bearer .."]),
    "one part": ("401 BadTicket", lambda c: ["Bearer " + "a" * 100]),
    "four parts": ("401 BadTicket", lambda c: [f"Bearer {c.tickets.sign()}.AAAA"]),
    "cut": ("401 BadTicket", lambda c: [f"Bearer {c.tickets.sign()[:-10]}"]),
    "without its signature": ("401 BadTicket", lambda c: [f"Bearer {c.tickets.sign().rpartition('.')[0]}."]),
    "another one's signature": ("401 BadTicket", lambda c: [f"Bearer {_swapped(c)}"]),
    "its content changed": ("401 BadTicket", lambda c: [f"Bearer {_changed(c, run='other')}"]),
    "its limit raised": ("401 BadTicket", lambda c: [f"Bearer {_changed(c, maxBytes=2**50)}"]),
    "alg none": ("401 BadTicket", lambda c: [f"Bearer {_forged(c, {'alg': 'none'})}."]),
    "alg none with a signature": ("401 BadTicket", lambda c: [f"Bearer {_forged(c, {'alg': 'none'})}.AAAA"]),
    "HMAC with the public key": ("401 BadTicket", lambda c: [f"Bearer {_hmac(c)}"]),
    "its own key in the header": ("401 BadTicket", lambda c: [f"Bearer {_own_key(c)}"]),
    "wrong kid": ("401 BadTicket", lambda c: [f"Bearer {sign(c.tickets.ticket(), c.tickets.key, 'f' * 16)}"]),
    "kid is a path": ("401 BadTicket", lambda c: [f"Bearer {sign(c.tickets.ticket(), c.tickets.key, '../x')}"]),
    "kid is a list": ("401 BadTicket", lambda c: [f"Bearer {_forged(c, {'alg': 'EdDSA', 'kid': [c.tickets.id]})}.AA"]),
    "no kid": ("401 BadTicket", lambda c: [f"Bearer {_forged(c, {'alg': 'EdDSA', 'typ': 'toe-ticket+jwt'})}.AAAA"]),
    "another key under our kid": ("401 BadTicket", lambda c: [f"Bearer {_foreign(c)}"]),
    "typ JWT": ("401 BadTicket", lambda c: [f"Bearer {_typed(c, 'JWT')}"]),
    "crit": ("401 BadTicket", lambda c: [f"Bearer {_critical(c)}"]),
    "expired": ("401 BadTicket", lambda c: [f"Bearer {c.tickets.sign(expires=int(time.time()) - 1)}"]),
    "not good yet": ("401 BadTicket", lambda c: [f"Bearer {c.tickets.sign(not_before=int(time.time()) + 600)}"]),
    "another audience": ("401 BadTicket", lambda c: [f"Bearer {c.tickets.sign(audience='kubernetes')}"]),
    "another issuer": ("401 BadTicket", lambda c: [f"Bearer {c.tickets.sign(issuer='somebody')}"]),
    "no run": ("401 BadTicket", lambda c: [f"Bearer {_without(c, 'run')}"]),
    "negative limit": ("401 BadTicket", lambda c: [f"Bearer {c.tickets.sign(max_bytes=-1)}"]),
    "limit is text": ("401 BadTicket", lambda c: [f"Bearer {c.tickets.sign(max_bytes='all')}"]),
    "a claims list": ("401 BadTicket", lambda c: [f"Bearer {_forged(c, {'alg': 'EdDSA'}, [1])}.AAAA"]),
    "another run's UID": ("403 RunOver", lambda c: [f"Bearer {c.tickets.sign(run_uid='uid-of-before')}"]),
    "a run that never was": ("403 RunOver", lambda c: [f"Bearer {c.tickets.sign('never')}"]),
    "the namespace of another": ("403 RunOver", lambda c: [f"Bearer {c.tickets.sign(namespace='staging')}"]),
}


def _parts(collector: Collector) -> tuple[str, str, str]:
    head, content, signature = collector.tickets.sign().split(".")
    return head, content, signature


def _swapped(collector: Collector) -> str:
    return ".".join((*_parts(collector)[:2], _parts(collector)[2]))


def _claims(collector: Collector) -> dict[str, Any]:
    return dict(jwt.decode(collector.tickets.sign(), options={"verify_signature": False}))


def _changed(collector: Collector, **changes: Any) -> str:
    head, _, signature = _parts(collector)
    return f"{head}.{encoded(_claims(collector) | changes)}.{signature}"


def _forged(collector: Collector, header: dict[str, Any], claims: Any = None) -> str:
    header = {"kid": collector.tickets.id, "typ": "toe-ticket+jwt"} | header
    return f"{encoded(header)}.{encoded(_claims(collector) if claims is None else claims)}"


def _hmac(collector: Collector) -> str:
    head = {"kid": collector.tickets.id, "typ": "toe-ticket+jwt"}
    return jwt.encode(_claims(collector), "x" * 32, algorithm="HS256", headers=head)


def _typed(collector: Collector, kind: str) -> str:
    head = {"kid": collector.tickets.id, "typ": kind}
    return jwt.encode(_claims(collector), collector.tickets.key, algorithm="EdDSA", headers=head)


def _critical(collector: Collector) -> str:
    head = {"kid": collector.tickets.id, "typ": "toe-ticket+jwt", "crit": ["pod"], "pod": 1}
    return jwt.encode(_claims(collector), collector.tickets.key, algorithm="EdDSA", headers=head)


def _own_key(collector: Collector) -> str:
    key = Ed25519PrivateKey.generate()
    raw = key.public_key().public_bytes_raw()
    head = {"kid": "own", "typ": "toe-ticket+jwt", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": raw.hex()}}
    return jwt.encode(_claims(collector), key, algorithm="EdDSA", headers=head)


def _foreign(collector: Collector) -> str:
    return sign(collector.tickets.ticket(), Ed25519PrivateKey.generate(), collector.tickets.id)


def _without(collector: Collector, *names: str) -> str:
    claims = {name: value for name, value in _claims(collector).items() if name not in names}
    head = {"kid": collector.tickets.id, "typ": "toe-ticket+jwt"}
    return jwt.encode(claims, collector.tickets.key, algorithm="EdDSA", headers=head)


@pytest.mark.parametrize("case", list(BEARERS))
async def test_a_bad_ticket_claims_nothing(collector: Collector, case: str) -> None:
    """Whatever is wrong with it; and the answer quotes nothing of it."""
    expected, make = BEARERS[case]
    bearers = make(collector)
    body = as_json({"session": a_session()})
    lines = "".join(f"Authorization: {bearer}\r\n" for bearer in bearers)
    head = f"POST /v1/claim HTTP/1.1\r\nHost: a\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    said = await collector.ask(head.encode("latin-1") + body)
    assert _is(said, expected), said
    assert not any(len(bearer) > 20 and bearer[7:40].encode("latin-1") in said.body for bearer in bearers)


BODIES: dict[str, tuple[str, bytes]] = {
    "no JSON": ("400 BadRequest", b"session"),
    "nothing": ("400 BadRequest", b""),
    "a list": ("400 BadRequest", b"[]"),
    "no session": ("400 BadRequest", b"{}"),
    "a short session": ("400 BadRequest", as_json({"session": "a" * 63})),
    "a long session": ("400 BadRequest", as_json({"session": "a" * 65})),
    "no hexadecimal digits": ("400 BadRequest", as_json({"session": "g" * 64})),
    "a number": ("400 BadRequest", as_json({"session": 1})),
    "with a newline": ("400 BadRequest", as_json({"session": "a" * 64 + "\n"})),
    "not UTF-8": ("400 BadRequest", b'{"session": "\xff"}'),
    "UTF-16": ("400 BadRequest", '{"session": "a"}'.encode("utf-16")),
    "10,000 deep": ("400 BadRequest", b"[" * 10_000),
    "more than 64 KiB": ("413 TooLarge", b" " * (64 * 1024 + 1)),
}


@pytest.mark.parametrize("case", list(BODIES))
async def test_a_claim_says_who_claims(collector: Collector, case: str) -> None:
    """With 64 hexadecimal digits and nothing else; the ticket is not used up by what is no claim."""
    expected, body = BODIES[case]
    ticket = collector.tickets.sign()
    said = await collector.ask(request("POST", "/v1/claim", ticket, body))
    assert _is(said, expected), said
    await collector.claim(ticket)


# Framing: one good chunk, said in a way that no client of ours says it.


def _raw(session: str, file: str, *lines: str, body: bytes = CHUNK, path: str = "", first: str = "") -> bytes:
    start = first or f"PUT {path or f'/v1/files/{file}?offset=0'} HTTP/1.1"
    head = (start, "Host: a", f"Authorization: Bearer {session}", f"Toe-Chunk-Sha256: {digest(CHUNK)}", *lines)
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


LENGTH = f"Content-Length: {len(CHUNK)}"
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(CHUNK), CHUNK)
FRAMES: dict[str, tuple[str, Callable[[str, str], bytes]]] = {
    "no length": ("411 LengthRequired", lambda s, f: _raw(s, f, body=b"")),
    "chunked": ("411 LengthRequired", lambda s, f: _raw(s, f, "Transfer-Encoding: chunked", body=CHUNKED)),
    "chunked, bad size": (
        "411 LengthRequired or 400 BadRequest",
        lambda s, f: _raw(s, f, "Transfer-Encoding: chunked", body=b"zz\r\n" + CHUNK),
    ),
    "chunked, negative size": (
        "411 LengthRequired or 400 BadRequest",
        lambda s, f: _raw(s, f, "Transfer-Encoding: chunked", body=b"-1\r\n" + CHUNK),
    ),
    "chunked, endless size": (
        "411 LengthRequired or 400 BadRequest",
        lambda s, f: _raw(s, f, "Transfer-Encoding: chunked", body=b"f" * 64 + b"\r\n" + CHUNK),
    ),
    "chunked twice": (
        "411 LengthRequired or 400 BadRequest",
        lambda s, f: _raw(s, f, "Transfer-Encoding: chunked, chunked", body=CHUNKED),
    ),
    "gzip, chunked": (
        "411 LengthRequired or 400 BadRequest",
        lambda s, f: _raw(s, f, "Transfer-Encoding: gzip, chunked", body=CHUNKED),
    ),
    "identity": (
        "400 BadRequest or 411 LengthRequired",
        lambda s, f: _raw(s, f, "Transfer-Encoding: identity", LENGTH),
    ),
    "smuggling: TE and CL": (
        "400 BadRequest or 411 LengthRequired",
        lambda s, f: _raw(s, f, LENGTH, "Transfer-Encoding: chunked", body=CHUNKED),
    ),
    "smuggling: CL and TE": (
        "400 BadRequest or 411 LengthRequired",
        lambda s, f: _raw(s, f, "Transfer-Encoding: chunked", "Content-Length: 4", body=CHUNKED),
    ),
    "smuggling: hidden TE": (
        "400 BadRequest or 411 LengthRequired",
        lambda s, f: _raw(s, f, LENGTH, "Transfer-Encoding : chunked", body=CHUNKED),
    ),
    "two lengths": ("400 BadRequest", lambda s, f: _raw(s, f, LENGTH, "Content-Length: 5")),
    "two equal lengths": ("400 BadRequest", lambda s, f: _raw(s, f, LENGTH, LENGTH)),
    "a list of lengths": ("400 BadRequest", lambda s, f: _raw(s, f, "Content-Length: 5, 5")),
    "negative length": ("400 BadRequest", lambda s, f: _raw(s, f, "Content-Length: -5")),
    "length with a sign": ("400 BadRequest", lambda s, f: _raw(s, f, f"Content-Length: +{len(CHUNK)}")),
    "length in hexadecimal": ("400 BadRequest", lambda s, f: _raw(s, f, "Content-Length: 0x10")),
    "empty length": ("400 BadRequest", lambda s, f: _raw(s, f, "Content-Length: ")),
    "huge length": ("413 TooLarge", lambda s, f: _raw(s, f, f"Content-Length: {2**63 - 1}")),
    "length beyond 64 bit": ("400 BadRequest or 413 TooLarge", lambda s, f: _raw(s, f, f"Content-Length: {2**70}")),
    "one byte more than a chunk": ("413 TooLarge", lambda s, f: _raw(s, f, f"Content-Length: {MOST_CHUNK + 1}")),
    "no byte": ("400 BadRequest", lambda s, f: _raw(s, f, "Content-Length: 0", body=b"")),
    "HTTP/1.0": ("400 BadRequest", lambda s, f: _raw(s, f, LENGTH, first=f"PUT /v1/files/{f}?offset=0 HTTP/1.0")),
    "HTTP/0.9": ("400 BadRequest or closed", lambda s, f: b"GET /v1/files\r\n\r\n"),
    "HTTP/3.0": (
        "400 BadRequest or closed",
        lambda s, f: _raw(s, f, LENGTH, first=f"PUT /v1/files/{f}?offset=0 HTTP/3.0"),
    ),
    "HTTP/2 preface": ("400 BadRequest or closed", lambda s, f: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "TLS in TLS": ("400 BadRequest or closed", lambda s, f: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    "a header without a colon": ("400 BadRequest", lambda s, f: _raw(s, f, LENGTH, "Nonsense")),
    "a header with NUL": ("400 BadRequest", lambda s, f: _raw(s, f, LENGTH, "X: a\0b")),
    "a folded header": ("400 BadRequest", lambda s, f: _raw(s, f, LENGTH, "X: a\r\n b")),
    "a space before the colon": ("400 BadRequest", lambda s, f: _raw(s, f, LENGTH, "X : a")),
    "200 headers": ("400 BadRequest", lambda s, f: _raw(s, f, LENGTH, *(f"X-{n}: a" for n in range(200)))),
    "Expect of something else": ("417", lambda s, f: _raw(s, f, LENGTH, "Expect: the-unexpected")),
    "Content-Range": ("400 BadRequest", lambda s, f: _raw(s, f, LENGTH, "Content-Range: bytes 0-1199/1200")),
    "Content-Encoding": ("400 BadRequest", lambda s, f: _raw(s, f, LENGTH, "Content-Encoding: gzip")),
    "no offset": ("400 BadRequest", lambda s, f: _raw(s, f, LENGTH, path=f"/v1/files/{f}")),
    "two offsets": ("400 BadRequest", lambda s, f: _raw(s, f, LENGTH, path=f"/v1/files/{f}?offset=0&offset=0")),
    "another word": ("400 BadRequest", lambda s, f: _raw(s, f, LENGTH, path=f"/v1/files/{f}?offset=0&x=1")),
    "negative offset": ("400 BadRequest", lambda s, f: _raw(s, f, LENGTH, path=f"/v1/files/{f}?offset=-1")),
    "offset in words": ("400 BadRequest", lambda s, f: _raw(s, f, LENGTH, path=f"/v1/files/{f}?offset=end")),
    "offset with a sign": ("400 BadRequest", lambda s, f: _raw(s, f, LENGTH, path=f"/v1/files/{f}?offset=+0")),
    "offset with zeros": ("400 BadRequest", lambda s, f: _raw(s, f, LENGTH, path=f"/v1/files/{f}?offset=00")),
    "huge offset": ("400 BadRequest", lambda s, f: _raw(s, f, LENGTH, path=f"/v1/files/{f}?offset={10**30}")),
    "offset beyond the end": ("409 WrongOffset", lambda s, f: _raw(s, f, LENGTH, path=f"/v1/files/{f}?offset=1")),
    "another's file": ("404 NoSuchFile", lambda s, f: _raw(s, f, LENGTH, path=f"/v1/files/{'0' * 32}?offset=0")),
    "a file that is a path": ("404", lambda s, f: _raw(s, f, LENGTH, path="/v1/files/../../etc/passwd?offset=0")),
    "a file that is an encoded path": (
        "404",
        lambda s, f: _raw(s, f, LENGTH, path="/v1/files/%2e%2e%2f%2e%2e%2fetc%2fpasswd?offset=0"),
    ),
    "a file in capitals": ("404", lambda s, f: _raw(s, f, LENGTH, path=f"/v1/files/{f.upper()}A?offset=0")),
    "two slashes": ("404", lambda s, f: _raw(s, f, LENGTH, path=f"//v1/files/{f}?offset=0")),
    "a trailing slash": ("404", lambda s, f: _raw(s, f, LENGTH, path=f"/v1/files/{f}/?offset=0")),
    "another version": ("404", lambda s, f: _raw(s, f, LENGTH, path=f"/v2/files/{f}?offset=0")),
    "POST": ("405", lambda s, f: _raw(s, f, LENGTH, first=f"POST /v1/files/{f}?offset=0 HTTP/1.1")),
    "PATCH": ("405", lambda s, f: _raw(s, f, LENGTH, first=f"PATCH /v1/files/{f}?offset=0 HTTP/1.1")),
    "DELETE": ("405", lambda s, f: _raw(s, f, LENGTH, first=f"DELETE /v1/files/{f} HTTP/1.1")),
    "GET": ("405", lambda s, f: _raw(s, f, "Content-Length: 0", body=b"", first=f"GET /v1/files/{f} HTTP/1.1")),
    "HEAD": ("405", lambda s, f: _raw(s, f, "Content-Length: 0", body=b"", first=f"GET /v1/files/{f} HTTP/1.1")),
    "CONNECT": ("400 or 404 or 405 or closed", lambda s, f: _raw(s, f, LENGTH, first="CONNECT a:1 HTTP/1.1")),
    "a method of one's own": ("400 or 405", lambda s, f: _raw(s, f, LENGTH, first=f"PUTT /v1/files/{f} HTTP/1.1")),
}


@pytest.mark.parametrize("case", list(FRAMES))
async def test_a_chunk_is_said_in_one_way_only(collector: Collector, case: str) -> None:
    """Everything else is refused before a byte of it is kept, and the file goes on where it was."""
    expected, make = FRAMES[case]
    session = await collector.claim()
    file = await collector.open(session)
    async with collector.wire() as wire:
        await wire.send(make(session, file))
        wire.writer.write_eof() if wire.writer.can_write_eof() else None
        said = await wire.answer()
        assert _is(said, expected), said
        if "smuggling" in case or "chunked" in case:
            with suppress(TimeoutError):  # it waits for the next request: nothing of this one was taken for it
                rest = await wire.answer(0.5)
                assert rest.status in (0, 400), f"what was hidden in a body is answered: {rest}"
    await _nothing_came(collector, session, file)


async def _nothing_came(collector: Collector, session: str, file: str) -> None:
    """Is so when the file begins at 0 still and takes a good chunk; then the session ends."""
    said = await collector.put(session, file, CHUNK)
    assert (said.status, said.json) == (200, {"offset": len(CHUNK)}), said
    said = await collector.ask(request("POST", "/v1/complete", session))
    assert (said.status, said.json) == (200, {"files": 0, "bytes": 0})


DIGESTS = {
    "none": ("400 BadRequest", ""),
    "short": ("400 BadRequest", "a" * 63),
    "no hexadecimal digits": ("400 BadRequest", "z" * 64),
    "another one": ("422 ChunkDamaged", "a" * 64),
}


@pytest.mark.parametrize("case", list(DIGESTS))
async def test_a_chunk_is_what_its_digest_says(collector: Collector, case: str) -> None:
    """Or is not kept."""
    expected, told = DIGESTS[case]
    session = await collector.claim()
    file = await collector.open(session)
    assert _is(await collector.put(session, file, CHUNK, Toe_Chunk_Sha256=told), expected)
    await _nothing_came(collector, session, file)


async def test_what_is_longer_than_it_says_is_no_part_of_it(collector: Collector) -> None:
    """The rest would be the next request, and is none."""
    session = await collector.claim()
    file = await collector.open(session)
    async with collector.wire() as wire:
        said = await wire.ask(_raw(session, file, f"Content-Length: {len(CHUNK) - 12}", body=CHUNK))
        assert _is(said, "422 ChunkDamaged or 400 BadRequest")
        assert _is(await wire.answer(), "400 BadRequest or closed")
    await _nothing_came(collector, session, file)


async def test_what_is_shorter_than_it_says_is_not_kept(collector: Collector) -> None:
    """A connection that is cut in the middle of a chunk leaves nothing of it."""
    session = await collector.claim()
    file = await collector.open(session)
    async with collector.wire() as wire:
        await wire.send(_raw(session, file, f"Content-Length: {len(CHUNK) + 1}"))
        await asyncio.sleep(0.1)
    await _nothing_came(collector, session, file)


async def test_the_body_is_asked_for_when_the_rest_is_good(collector: Collector) -> None:
    """``Expect: 100-continue`` is answered once all that can be judged before it was; a bad one is never asked for."""
    session = await collector.claim()
    file = await collector.open(session)
    async with collector.wire() as wire:
        assert (await wire.ask(_raw(session, file, LENGTH, "Expect: 100-continue", body=b""))).status == 100
        assert (await wire.ask(CHUNK)).status == 200
    for who, offset in ((a_session(), 0), (session, 7)):
        path = f"/v1/files/{file}?offset={offset}"
        async with collector.wire() as wire:
            said = await wire.ask(_raw(who, file, LENGTH, "Expect: 100-continue", body=b"", path=path))
            assert said.status in (401, 409), said
    assert (await collector.commit(session, file, CHUNK)).status == 201


SESSIONS = {
    "none": None,
    "a ticket": "",
    "nobody's": "0" * 64,
    "short": "0" * 63,
    "in capitals": "A" * 64,
    "a path": "../../etc/passwd",
}


@pytest.mark.parametrize("case", list(SESSIONS))
@pytest.mark.parametrize("path", ["/v1/lease", "/v1/files", "/v1/complete", f"/v1/files/{'0' * 32}/commit"])
async def test_a_session_that_nobody_claimed_does_nothing(collector: Collector, case: str, path: str) -> None:
    """Also a ticket is no session."""
    bearer = collector.tickets.sign() if case == "a ticket" else SESSIONS[case]
    assert _is(await collector.ask(request("POST", path, bearer)), "401 BadSession")


@pytest.mark.parametrize("path", ["/v1/files", "/v1/lease", "/apis", "/", "/.toe/claims/", "/production", "/v1/claim"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_nothing_can_be_read_with_a_session_or_a_ticket(collector: Collector, path: str, method: str) -> None:
    """A ticket writes, and no more."""
    session = await collector.claim()
    for bearer in (session, collector.tickets.sign()):
        async with collector.wire() as wire:
            await wire.send(request(method, path, bearer, None))
            head = (await wire.reader.readuntil(b"\r\n\r\n")).decode()
        assert head.split()[1] in ("401", "404", "405"), head


NAMES: dict[str, Any] = {
    "up": "../../etc/passwd",
    "up once": "..",
    "up inside": "a/../../../b",
    "here": ".",
    "here inside": "a/./b",
    "absolute": "/etc/passwd",
    "two slashes": "//etc//passwd",
    "trailing slash": "a/",
    "backslashes": "..\\..\\windows\\system32",
    "drive": "C:\\autoexec.bat",
    "unc": "\\\\server\\share",
    "encoded": "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "encoded twice": "%252e%252e%252f",
    "encoded slash": "a%2fb",
    "overlong UTF-8 in words": "%c0%ae%c0%ae/",
    "a dot file": ".bashrc",
    "dots": "...",
    "four dots": "....//....//etc",
    "our own directory": ".toe/claims/x.json",
    "our own record": "out.txt.toe.json",
    "a record of a record": "a.toe.json.toe.json",
    "only a record": ".toe.json",
    "newline": "a\nb",
    "return": "a\rb",
    "tab": "a\tb",
    "escape": "a\x1b[2Jb",
    "bell": "a\x07b",
    "delete": "a\x7fb",
    "NUL": "a\0b",
    "NUL at the end": "a.txt\0.png",
    "empty": "",
    "blank": " ",
    "blanks around": " a ",
    "trailing dot": "a.",
    "trailing blank": "a ",
    "tilde": "~root/.ssh/authorized_keys",
    "dollar": "$(reboot)",
    "backtick": "`reboot`",
    "semicolon": "a;reboot",
    "pipe": "a|b",
    "ampersand": "a&b",
    "glob": "*",
    "question": "?",
    "brackets": "[a-z]",
    "quotes": "\"a\"'b'",
    "angle": "<script>alert(1)</script>",
    "html": "a.html",
    "svg": "a.svg",
    "hash": "#",
    "percent": "%",
    "percent at the end": "a%",
    "percent and a digit": "a%4",
    "plus": "a+b",
    "equals": "a=b",
    "colon": "a:b",
    "at": "@file",
    "dash": "-rf",
    "two dashes": "--help",
    "con": "CON",
    "nul device": "NUL",
    "com1": "com1.txt",
    "aux": "aux",
    "lost+found": "lost+found",
    "node_modules": "node_modules",
    "git": ".git/hooks/post-checkout",
    "proc": "/proc/self/environ",
    "dev": "/dev/sda",
    "fd": "/dev/fd/0",
    "umlaut": "größe.txt",
    "umlaut in two": "gro\u0308\u00dfe.txt",
    "chinese": "火焰图.svg",
    "emoji": "🔥.svg",
    "zero width": "a\u200bb",
    "right to left": "\u202egpj.exe",
    "byte order mark": "\ufeffa",
    "line separator": "a\u2028b",
    "noncharacter": "a\uffffb",
    "look-alike slash": "a\u2215b",
    "fullwidth dots": "\uff0e\uff0e\uff0f",
    "cyrillic": "оut.txt",
    "150 bytes": "a" * 150,
    "151 bytes": "a" * 151,
    "255 bytes": "a" * 255,
    "256 bytes": "a" * 256,
    "512 bytes": "a" * 512,
    "513 bytes": "a" * 513,
    "512 escaped": "\x01" * 512,
    "513 in characters of 3": "火" * 171,
    "10,000 bytes": "a" * 10_000,
    "long and deep": "/".join(["a"] * 256),
    "long, other end": "a" * 511 + "b",
    "long, ends in a record": "a" * 200 + ".toe.json",
    "case": "OUT.TXT",
    "another case": "Out.txt",
    "a lone surrogate": "\ud800",
    "surrogates": "a\udc00\ud800b",
    "a number": 7,
    "null": None,
    "a list": ["a"],
    "an object": {"a": "b"},
}
REFUSED = {"empty", "513 bytes", "513 in characters of 3", "10,000 bytes", "a number", "null", "a list", "an object"}
REFUSED |= {"a lone surrogate", "surrogates"}


async def test_names_of_files_are_data(collector: Collector) -> None:
    """A hundred of them: each is kept under a key of its own below the run's pod, or refused; none goes elsewhere."""
    assert len(NAMES) >= 100
    session = await collector.claim(collector.tickets.sign(pod="web-1000"))
    keys: dict[str, str] = {}
    for case, name in NAMES.items():
        said = await collector.ask(request("POST", "/v1/files", session, as_json({"name": name})))
        if case in REFUSED or said.status != 201:
            assert _is(said, "400 BadRequest"), (case, said)
            assert case in REFUSED or _is_no_path(name), case
            continue
        content = f"content of {case}".encode()
        assert (await collector.put(session, said.json["file"], content)).status == 200, case
        committed = await collector.commit(session, said.json["file"], content)
        assert committed.status == 201, (case, committed)
        keys[committed.json["key"]] = case
    assert (await collector.ask(request("POST", "/v1/complete", session))).json["files"] == len(keys)
    kept = collector.kept()
    for key, case in keys.items():
        assert re.fullmatch(rf"{NAMESPACE}/{RUN}/[0-9-]{{10}}-uid-slow/web-1000/[A-Za-z0-9._%-]{{1,200}}", key), key
        assert kept[key] == f"content of {case}".encode()
    outside = [path for path in collector.place.iterdir() if path.name not in ("store", "scratch", "keys", "log")]
    assert {path.suffix for path in outside} <= {".crt", ".key", ""}
    assert not (collector.place / "b").exists()


def _is_no_path(name: str) -> bool:
    """Tells whether no tool could have written it below its output directory."""
    return "\0" in name or any(part in ("", ".", "..") for part in name.split("/"))


async def test_a_file_is_ended_as_it_is(collector: Collector) -> None:
    """Another size or digest is FileDamaged and begins it anew; a repetition is told the same as before."""
    session = await collector.claim()
    file = await collector.open(session)
    path = f"/v1/files/{file}/commit"
    for body in (
        {},
        {"bytes": -1, "sha256": "a" * 64},
        {"bytes": "1", "sha256": "a" * 64},
        {"bytes": 1, "sha256": "a"},
    ):
        assert _is(await collector.ask(request("POST", path, session, as_json(body))), "400 BadRequest"), body
    for size, sha256 in ((len(CHUNK) + 1, digest(CHUNK)), (len(CHUNK), "a" * 64), (0, digest(b""))):
        assert (await collector.put(session, file, CHUNK)).status == 200
        said = await collector.ask(request("POST", path, session, as_json({"bytes": size, "sha256": sha256})))
        assert _is(said, "422 FileDamaged"), said
    assert collector.orphans() == []
    assert (await collector.put(session, file, CHUNK)).status == 200
    assert (await collector.commit(session, file, CHUNK)).status == 201
    assert (await collector.commit(session, file, CHUNK)).status == 200
    assert _is(await collector.commit(session, file, b"other"), "409 AlreadyComplete")
    assert _is(await collector.put(session, file, b"more", len(CHUNK)), "409 AlreadyComplete")
    again = request("POST", "/v1/files", session, as_json({"name": "out.txt", "restart": True}))
    assert _is(await collector.ask(again), "409 AlreadyComplete")


async def test_a_ticket_brings_no_more_than_it_says(collector: Collector) -> None:
    """Over all files of its session, whole or not, and also when many come at once."""
    session = await collector.claim(collector.tickets.sign(max_bytes=3 * len(CHUNK)))
    files = [await collector.open(session, f"{number}.txt") for number in range(6)]
    said = await asyncio.gather(*(collector.put(session, file, CHUNK) for file in files))
    assert sorted(one.status for one in said) == [200, 200, 200, 413, 413, 413]
    assert {one.reason for one in said if one.status == 413} == {"TooLarge"}
    again = await collector.open(
        session, f"{next(i for i, one in enumerate(said) if one.status == 200)}.txt", restart=True
    )
    assert (await collector.put(session, again, CHUNK)).status == 200
    lease_only = await collector.claim(collector.tickets.sign(max_bytes=0))
    said_of_lease = await collector.ask(request("POST", "/v1/files", lease_only, as_json({"name": "a"})))
    assert _is(said_of_lease, "413 TooLarge")


async def test_a_session_has_a_thousand_files(collector: Collector) -> None:
    """And no more, however small."""
    session = await collector.claim()
    async with collector.wire() as wire:
        for number in range(1000):
            said = await wire.ask(request("POST", "/v1/files", session, as_json({"name": f"{number}"})))
            assert said.status == 201
        said = await wire.ask(request("POST", "/v1/files", session, as_json({"name": "one more"})))
        assert _is(said, "413 TooLarge")
        assert (await wire.ask(request("POST", "/v1/complete", session))).status == 200


async def test_a_ticket_is_claimed_once(collector: Collector, api: ToyApi) -> None:
    """The same session may say it again; another one is refused, told in the log, on the run, and counted."""
    await api.run("stolen")
    ticket, session = collector.tickets.sign("stolen", pod="stolen-9"), a_session()
    assert await collector.claim(ticket, session) == session
    assert await collector.claim(ticket, session) == session
    before = await collector.metrics()
    said = await collector.ask(request("POST", "/v1/claim", ticket, as_json({"session": a_session()})))
    assert _is(said, "409 TicketClaimed")
    for _ in range(50):
        events = [one for one in api.events if one.get("involvedObject", {}).get("name") == "stolen"]
        if events:
            break
        await asyncio.sleep(0.1)
    (event,) = events
    assert (event["type"], event["reason"], event["involvedObject"]["uid"]) == (
        "Warning",
        "TicketClaimed",
        "uid-stolen",
    )
    assert "stolen-9" in event["message"]
    (line,) = [line for line in collector.log.read_text().splitlines() if '"security"' in line and "stolen-9" in line]
    assert '"reason":"TicketClaimed"' in line
    assert "127.0.0.1" in line
    assert _count(await collector.metrics()) == _count(before) + 1


def _count(metrics: str) -> int:
    found = re.search(r'^toe_collector_security_events_total\{reason="TicketClaimed"\} (\d+)', metrics, re.MULTILINE)
    return int(found[1]) if found else 0


async def test_fifty_parallel_uses_of_one_ticket_store_one_artifact(collector: Collector) -> None:
    """Whether each is somebody else or all are the same one."""
    ticket = collector.tickets.sign(pod="parallel-1")
    body = b"one and only"

    async def use(session: str) -> int:
        said = await collector.ask(request("POST", "/v1/claim", ticket, as_json({"session": session})))
        return (await collector.upload(session, body)).status if said.status in (200, 201) else said.status

    found = await asyncio.gather(*(use(a_session()) for _ in range(50)))
    assert sorted(found) == [201] + [409] * 49
    ticket, session = collector.tickets.sign(pod="parallel-2"), a_session()
    found = await asyncio.gather(*(use(session) for _ in range(50)))
    assert found.count(201) == 1
    assert set(found) <= {200, 201, 409, 408}
    kept = [key for key in collector.kept() if "/parallel-" in key]
    assert len(kept) == 2


async def test_nothing_comes_after_the_end(collector: Collector) -> None:
    """What is complete is complete, and says so again."""
    session = await collector.claim()
    assert (await collector.upload(session, CHUNK)).status == 201
    file = await collector.open(session, "half.txt")
    assert (await collector.put(session, file, CHUNK)).status == 200
    for _ in range(2):
        said = await collector.ask(request("POST", "/v1/complete", session))
        assert (said.status, said.json) == (200, {"files": 1, "bytes": len(CHUNK)})
    said = await collector.ask(request("POST", "/v1/files", session, as_json({"name": "late"})))
    assert _is(said, "409 AlreadyComplete")
    assert _is(await collector.put(session, file, CHUNK, len(CHUNK)), "409 AlreadyComplete or 404 NoSuchFile")
    assert _is(await collector.commit(session, file, CHUNK), "409 AlreadyComplete or 404 NoSuchFile")


async def test_a_run_that_is_over_takes_nothing(collector: Collector, api: ToyApi) -> None:
    """Deleted, deleted and made again, finished; what was on its way is discarded, and the lease says stop."""
    for how in ("deleted", "made again", "finished"):
        await api.run(how.replace(" ", "-"))
        name = how.replace(" ", "-")
        session = await collector.claim(collector.tickets.sign(name))
        file = await collector.open(session)
        assert (await collector.put(session, file, CHUNK)).status == 200
        if how == "finished":
            condition = {"type": "Finished", "status": "True", "reason": "Failed", "lastTransitionTime": ""}
            await api.run(name, status={"phase": "Failed", "conditions": [condition]})
        else:
            await api.delete(name)
        if how == "made again":
            await api.run(name)
            await api.delete(name)
        await _until(collector, session, "stop")
        assert _is(await collector.put(session, file, CHUNK, len(CHUNK)), "403 RunOver")
        assert _is(await collector.commit(session, file, CHUNK), "403 RunOver")
        assert _is(await collector.ask(request("POST", "/v1/files", session, as_json({"name": "b"}))), "403 RunOver")
        ticket = collector.tickets.sign(name)
        said = await collector.ask(request("POST", "/v1/claim", ticket, as_json({"session": a_session()})))
        assert _is(said, "403 RunOver")
        assert not any(f"/{name}/" in key for key in collector.kept())


async def _until(collector: Collector, session: str, state: str) -> Any:
    """Waits until the lease is answered so."""
    async with asyncio.timeout(5):
        while True:
            said = await collector.ask(request("POST", "/v1/lease", session))
            if said.json.get("state") == state:
                return said.json
            await asyncio.sleep(0.05)


async def test_a_run_that_is_deleted_under_an_upload_discards_it(collector: Collector, api: ToyApi) -> None:
    """Judged before the body, and again when it is here: nothing of it is kept."""
    await api.run("short-lived")
    session = await collector.claim(collector.tickets.sign("short-lived"))
    file = await collector.open(session)
    async with collector.wire() as wire:
        whole = chunk(session, file, CHUNK)
        await wire.send(whole[:-100])
        await asyncio.sleep(0.2)
        await api.delete("short-lived")
        await _until(collector, session, "stop")
        assert _is(await wire.ask(whole[-100:]), "403 RunOver")
    assert not any("/short-lived/" in key for key in collector.kept())


@pytest.mark.parametrize(("how", "reason"), [("cancel", "Canceled"), ("suspend", "ToolSuspended")])
async def test_what_a_tool_has_written_still_leaves(collector: Collector, api: ToyApi, how: str, reason: str) -> None:
    """A run that is canceled, or whose tool is suspended: the lease says stop, and the files come."""
    await api.config(f"tool-{how}")
    await api.run(how)
    session = await collector.claim(collector.tickets.sign(how, tool=f"tool-{how}"))
    assert (await _until(collector, session, "go"))["state"] == "go"
    await (api.run(how, cancel=True) if how == "cancel" else api.config("tool-suspend", suspended=True))
    assert (await _until(collector, session, "stop"))["reason"] == reason
    assert (await collector.upload(session, CHUNK)).status == 201
    ticket = collector.tickets.sign(how, tool=f"tool-{how}")
    said = await collector.ask(request("POST", "/v1/claim", ticket, as_json({"session": a_session()})))
    assert _is(said, f"403 {reason}")


async def test_a_ticket_that_expires_ends_its_session(collector: Collector) -> None:
    """The lease too."""
    session = await collector.claim(collector.tickets.sign(expires=int(time.time()) + 2))
    file = await collector.open(session)
    await asyncio.sleep(2.5)
    assert _is(await collector.put(session, file, CHUNK), "403 RunOver")
    assert _is(await collector.ask(request("POST", "/v1/files", session, as_json({"name": "b"}))), "403 RunOver")
    assert _is(await collector.ask(request("POST", "/v1/lease", session)), "403 RunOver")


async def test_who_is_too_slow_is_let_go(collector: Collector) -> None:
    """Headers, a body, a claim's body that drip; and a good upload beside them is not."""
    session = await collector.claim()
    file = await collector.open(session)
    slow = await collector.open(session, "slow.txt")
    drips: dict[str, tuple[str, bytes]] = {
        "headers": ("closed or 408", b"PUT /v1/files/" + file.encode()),
        "chunk": ("408 TooSlow", chunk(session, slow, CHUNK)[:-1000]),
        "claim": ("408 TooSlow", request("POST", "/v1/claim", collector.tickets.sign(), b"{" * 100)[:-80]),
    }

    async def drip(sent: bytes) -> tuple[Said, float]:
        began = time.monotonic()
        async with collector.wire() as wire:
            await wire.send(sent)
            answer = asyncio.create_task(wire.answer(60))
            while not answer.done():
                await wire.send(b"a")
                await asyncio.wait({answer}, timeout=1)
            return answer.result(), time.monotonic() - began

    found = asyncio.gather(*(drip(sent) for _, sent in drips.values()))
    assert (await collector.upload(session, CHUNK, "good.txt")).status == 201
    for (case, (expected, _)), (said, seconds) in zip(drips.items(), await found, strict=True):
        assert _is(said, expected), (case, said)
        assert seconds < 20, case


async def test_what_is_left_of_all_of_this_is_well(collector: Collector) -> None:
    """Every record says the truth, nothing is without one, and the collector still takes a good upload."""
    session = await collector.claim()
    assert (await collector.upload(session, CHUNK)).status == 201
    collector.kept()
    assert collector.orphans() == []
    modes = {path.stat().st_mode & 0o777 for path in (*collector.store.rglob("*"), *collector.scratch.rglob("*"))}
    assert modes <= {0o600, 0o700}
    text = collector.log.read_text()
    assert "Traceback" not in text
    assert '"level":"error"' not in text


async def test_a_collector_with_little_room_keeps_what_it_has(tmp_path: Path) -> None:
    """The quotas of a namespace and of all, and the disk's reserve: 507, and what is there stays."""
    quotas = ("--quota-namespace", "8Ki", "--quota-total", "16Ki", "--low-water", "1Mi")
    async with collecting(tmp_path, *quotas) as (collector, api):
        content = b"x" * 3000
        for namespace in ("production", "staging", "testing"):
            await api.run("run", namespace)
            session = await collector.claim(collector.tickets.sign("run", namespace=namespace))
            found = [await collector.upload(session, content, f"{number}") for number in range(3)]
            expected = [201, 201, 507] if namespace != "testing" else [201, 507, 507]
            assert [said.status for said in found] == expected, (namespace, found)
            assert {said.reason for said in found if said.status == 507} == {"QuotaExceeded"}
        assert len(collector.kept()) == 5


async def test_where_addresses_matter_only_the_pod_is_heard(tmp_path: Path) -> None:
    """A ticket, and a session too, from elsewhere: 403; so is a ticket that names no address."""
    async with collecting(tmp_path, "--pod-addresses", "enforce", "--low-water", "1Mi") as (collector, _):
        ticket, session = collector.tickets.sign(pod_ips=("127.0.0.2", "fd00::2")), a_session()
        claim = request("POST", "/v1/claim", ticket, as_json({"session": session}))
        assert _is(await collector.ask(claim), "403 AddressForeign")
        async with collector.wire("127.0.0.2") as wire:
            assert (await wire.ask(claim)).status == 201
            assert (await wire.ask(request("POST", "/v1/lease", session))).json == {"state": "go"}
        stolen = [
            request("POST", "/v1/lease", session),
            request("POST", "/v1/files", session, as_json({"name": "a"})),
            request("POST", "/v1/complete", session),
            claim,
        ]
        for sent in stolen:
            assert _is(await collector.ask(sent), "403 AddressForeign"), sent
        nameless = request("POST", "/v1/claim", collector.tickets.sign(), as_json({"session": a_session()}))
        assert _is(await collector.ask(nameless), "403 AddressForeign")


async def test_sessions_are_bounded(tmp_path: Path) -> None:
    """The next one is told to try again, and gets in when one has ended."""
    async with collecting(tmp_path, "--max-sessions", "2", "--low-water", "1Mi") as (collector, _):
        first, second = await collector.claim(), await collector.claim()
        ticket, third = collector.tickets.sign(), a_session()
        claim = request("POST", "/v1/claim", ticket, as_json({"session": third}))
        assert _is(await collector.ask(claim), "429 TooMany")
        assert (await collector.ask(request("POST", "/v1/lease", second))).json == {"state": "go"}
        assert (await collector.ask(request("POST", "/v1/complete", first))).status == 200
        assert (await collector.ask(claim)).status == 201
