"""Tickets and sessions are secrets: what is told, counted, written down or kept never holds one."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from tests.collector.stage import RUN, Collector, a_session, as_json, chunk, collecting, request
from tests.collector.toyapi import ToyApi

pytestmark = pytest.mark.process


async def test_no_ticket_and_no_session_is_ever_told(tmp_path: Path) -> None:
    """Not in a log at its most talkative, an event, a metric, an answer, a key or a file: good, bad and broken uses."""
    async with collecting(tmp_path, "--low-water", "1Mi", "--log-level", "debug") as (collector, api):
        answers: list[bytes] = []
        ticket = collector.tickets.ticket()
        signed = collector.tickets.sign(id=ticket.id)
        session, thief, nobody = a_session(), a_session(), a_session()
        secrets = {
            "ticket": signed,
            "ticket's content": signed.split(".")[1],
            "ticket's signature": signed.split(".")[2],
            "ticket's id": ticket.id,
            "session": session,
            "thief's session": thief,
            "nobody's session": nobody,
        }
        for claimer in (session, session, thief, thief):
            answers.append(await _told(collector, request("POST", "/v1/claim", signed, as_json({"session": claimer}))))
        for sent in _uses(signed, session, nobody):
            answers.append(await _told(collector, sent))
        assert (await collector.upload(session, b"content", "good.txt")).status == 201
        file = await collector.open(session, "half.txt")
        assert (await collector.put(session, file, b"half")).status == 200
        await collector.kill()
        await collector.start()
        assert (await collector.put(session, file, b"more", 4)).status == 200
        api.is_away = True
        await api.leave()
        answers.append(await _told(collector, request("POST", "/v1/claim", signed, as_json({"session": thief}))))
        answers.append((await collector.metrics()).encode())
        assert collector.kept()
        _found_nowhere(secrets, collector, api, answers)


async def _told(collector: Collector, sent: bytes) -> bytes:
    """Returns everything that an answer says, its headers too."""
    async with collector.wire() as wire:
        await wire.send(sent)
        said = await wire.answer()
    return said.body + repr(said.headers).encode()


def _uses(ticket: str, session: str, nobody: str) -> list[bytes]:
    """Is what is said with secrets where they do not belong, and with what nobody understands."""
    body = as_json({"session": session})
    return [
        request("POST", "/v1/lease", session),
        request("POST", "/v1/lease", nobody),
        request("POST", "/v1/lease", ticket),
        request("POST", "/v1/claim", session, body),
        request("POST", "/v1/claim", ticket[:-3], body),
        request("POST", "/v1/claim", ticket, b'{"session": ' + session.encode()),
        request("POST", "/v1/claim", ticket + "a" * 9000, body),
        request("POST", f"/v1/{session}", ticket),
        request("POST", f"/v1/files/{session}/commit", session),
        request("GET", f"/{session}?{ticket}", nobody, None),
        request("POST", "/v1/claim", ticket, body, {"X-Copy": f"{session}\0"}),
        f"{session} {ticket} HTTP/1.1\r\n\r\n".encode(),
        f"POST /v1/claim HTTP/1.1\r\nAuthorization {ticket}\r\n\r\n".encode(),
        chunk(session, session[:32], session.encode()),
        request("POST", "/v1/files", session, as_json({"name": 7, "session": session})),
    ]


def _found_nowhere(secrets: dict[str, str], collector: Collector, api: ToyApi, answers: list[bytes]) -> None:
    places = {"log": collector.log.read_bytes(), "events": repr(api.events).encode(), "answers": b"\n".join(answers)}
    for root in (collector.store, collector.scratch):
        for path in root.rglob("*"):
            places[str(path)] = str(path).encode() + (path.read_bytes() if path.is_file() else b"")
    assert any(event.get("reason") == "TicketClaimed" for event in api.events)
    assert b"TicketClaimed" in places["log"]
    for what, secret in secrets.items():
        for place, content in places.items():
            assert secret.encode() not in content, f"the {what} is in {place}"


async def test_what_is_kept_instead_are_hashes(tmp_path: Path) -> None:
    """So that who reads the store can use neither, and we still know both again."""
    async with collecting(tmp_path, "--low-water", "1Mi") as (collector, _):
        ticket = collector.tickets.ticket(RUN)
        session = await collector.claim(collector.tickets.sign(RUN, id=ticket.id))
        name = hashlib.sha256(ticket.id.encode()).hexdigest()
        claim = await asyncio.to_thread((collector.store / ".toe/claims" / f"{name}.json").read_text)
        assert hashlib.sha256(session.encode()).hexdigest() in claim
