"""The server that toe-run speaks to: authorization first, the judge second, the body last."""

import asyncio
import hashlib
import json
import secrets
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from tests.builders import a_powertool
from tests.collector.uploading import (
    NOW,
    RUN,
    Collector,
    Supervisor,
    ToyRuns,
    a_client,
    a_place,
    a_ticket,
    collecting,
    supervising,
    trusting,
)
from toe.collector.uploads import Terms


async def test_a_claim_says_the_terms(tmp_path: Path) -> None:
    """The same again when it is repeated, also at once."""
    async with collecting(a_place(tmp_path)) as collector, a_client() as http:
        supervisor = Supervisor(http, collector.url, a_ticket(max_bytes=77))
        terms = {"lease": 30.0, "chunkBytes": 4194304, "maxBytes": 77, "expires": "2026-10-24T13:00:00Z"}
        found = await asyncio.gather(*(supervisor.claim() for _ in range(5)))
        assert sorted(status for status, _ in found) == [200, 200, 200, 200, 201]
        assert [answer for _, answer in found] == [terms] * 5


async def test_a_ticket_is_claimed_by_one(tmp_path: Path) -> None:
    """Everybody else is told so, and counted."""
    async with collecting(a_place(tmp_path)) as collector, a_client() as http:
        supervisor = Supervisor(http, collector.url)
        found = await asyncio.gather(*(supervisor.claim(secrets.token_hex(32)) for _ in range(20)))
        assert sorted(status for status, _ in found) == [201] + [409] * 19
        assert {answer["reason"] for status, answer in found if status == 409} == {"TicketClaimed"}
        assert 'security_events_total{reason="TicketClaimed"} 19.0\n' in collector.metrics.text().decode()


@pytest.mark.parametrize("state", ["deleted", "canceled", "suspended", "expired", "stale", "silent", "no keys", "full"])
async def test_a_claim_of_a_run_that_is_not_on_is_refused(tmp_path: Path, state: str) -> None:
    """Its tool is not started at all; what may still come is to be asked again."""
    place, runs = a_place(tmp_path), ToyRuns()
    async with collecting(place, runs=runs, max_sessions=1) as collector, a_client() as http:
        match state:
            case "deleted":
                runs.run = None
            case "canceled":
                runs.run = a_powertool(cancel=True)
            case "suspended":
                runs.suspended = True
            case "expired":
                collector.clock.append(NOW + timedelta(hours=1))
            case "stale":
                runs.live = False
            case "silent":
                runs.silent = True
            case "no keys":
                (place.keys / "key1.pem").unlink()
            case "full":
                assert (await Supervisor(http, collector.url).claim())[0] == 201
        status, found = await Supervisor(http, collector.url).claim()
        assert (status, found["reason"]) == {
            "expired": (401, "BadTicket"),
            "stale": (503, "NotReady"),
            "silent": (503, "NotReady"),
            "no keys": (503, "NotReady"),
            "full": (429, "TooMany"),
            "canceled": (403, "Canceled"),
            "suspended": (403, "ToolSuspended"),
        }.get(state, (403, "RunOver"))


async def test_a_lease_says_what_became_of_the_run(tmp_path: Path) -> None:
    """At once; where the tool has ended its files still leave, but for a run that was deleted."""
    runs = ToyRuns()
    async with collecting(a_place(tmp_path), runs=runs) as collector, supervising(collector) as supervisor:
        assert await supervisor.lease() == (200, {"state": "go"})
        runs.suspended = True
        stop = {"state": "stop", "reason": "ToolSuspended", "message": "the administrator suspended the tool"}
        assert await supervisor.lease() == (200, stop)
        runs.run = a_powertool(cancel=True)
        assert (await supervisor.lease())[1]["reason"] == "Canceled"
        assert (await supervisor.upload("late", b"x"))[0] == 201
        runs.run = None
        assert (await supervisor.lease())[1]["reason"] == "RunDeleted"
        assert (await supervisor.open("later"))[1]["reason"] == "RunOver"
        runs.run = RUN
        collector.clock.append(NOW + timedelta(hours=1))
        runs.suspended = False
        assert (await supervisor.lease())[0] == 403


async def test_while_nothing_is_known_the_last_answer_counts_for_a_lease(tmp_path: Path) -> None:
    """Not for longer, and never for a session that was told nothing yet."""
    runs, terms = ToyRuns(), Terms(lease_seconds=0.5)
    async with (
        collecting(a_place(tmp_path), runs=runs, terms=terms) as collector,
        supervising(collector) as supervisor,
        supervising(collector) as another,
    ):
        await supervisor.lease()
        runs.live = False
        assert await supervisor.lease() == (200, {"state": "go"})
        assert (await another.lease())[0] == 503
        assert (await supervisor.open("a"))[0] == 503
        await asyncio.sleep(0.6)
        assert (await supervisor.lease())[0] == 503
        runs.live = True
        assert (await supervisor.lease())[0] == 200


async def test_where_addresses_are_compared_only_the_pod_is_heard(tmp_path: Path) -> None:
    """For its claim, its lease and its files."""
    terms = Terms(compares_addresses=True)
    async with collecting(a_place(tmp_path), terms=terms) as collector, a_client() as http:
        assert (await Supervisor(http, collector.url).claim())[0] == 201
        status, found = await Supervisor(http, collector.url, a_ticket(pod_ips=("10.0.0.1",))).claim()
        assert (status, found["reason"]) == (403, "AddressForeign")
    async with (
        collecting(a_place(tmp_path)) as lenient,
        collecting(lenient.place, terms=terms) as strict,
        supervising(lenient, pod_ips=("10.0.0.1",)) as supervisor,
    ):
        supervisor.url = strict.url
        for answer in (supervisor.lease(), supervisor.open("a"), supervisor.complete()):
            assert (await answer)[1]["reason"] == "AddressForeign"


async def test_a_body_is_wanted_only_when_it_may_come(tmp_path: Path) -> None:
    """Who asks first is told so before he sends: to go on, or why not."""
    async with collecting(a_place(tmp_path)) as collector, supervising(collector, max_bytes=10) as supervisor:
        _, found = await supervisor.open("a")
        path = f"/v1/files/{found['file']}?offset=0"
        for size, session, first in (
            (10, supervisor.session, b"HTTP/1.1 100 Continue\r\n\r\n"),
            (11, supervisor.session, b"HTTP/1.1 413 "),
            (10, "0" * 64, b"HTTP/1.1 401 "),
        ):
            answer = await _ask_first(collector, path, session, size)
            assert answer.startswith(first)
            assert (b"HTTP/1.1 200" in answer) == (first.startswith(b"HTTP/1.1 100"))


async def _ask_first(collector: Collector, path: str, session: str, size: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", collector.port, ssl=trusting(), server_hostname="x")
    digest = hashlib.sha256(b"x" * size).hexdigest()
    writer.write(
        f"PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {session}\r\nContent-Length: {size}\r\n"
        f"Toe-Chunk-Sha256: {digest}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n".encode()
    )
    async with asyncio.timeout(5):
        answer = await reader.readuntil(b"\r\n\r\n")
        if b" 100 " in answer:
            writer.write(b"x" * size)
        answer += await reader.read()
    writer.close()
    return answer


async def test_probes_and_metrics_are_answered(tmp_path: Path) -> None:
    """Without names of anybody."""
    async with collecting(a_place(tmp_path)) as collector, supervising(collector) as supervisor, a_client() as http:
        await supervisor.upload("secret-name", b"x")
        for path in ("/healthz", "/readyz"):
            async with http.get(collector.url + path) as found:
                assert (found.status, await found.text()) == (200, "ok\n")
        async with http.get(collector.url + "/metrics") as found:
            assert found.status == 404, "who may see them is for the program to say"
        text = collector.metrics.text().decode()
        assert "toe_collector_chunk_bytes_total 1.0" in text
        for name in ("secret-name", supervisor.session, RUN.metadata.name, RUN.metadata.namespace):
            assert name not in text


async def test_what_is_not_served_is_told_in_json(tmp_path: Path) -> None:
    """As everything else."""
    async with collecting(a_place(tmp_path)) as collector, supervising(collector) as supervisor:
        status, found = await supervisor.say("POST", "/v2/claim")
        assert (status, found["reason"]) == (404, "NotFound")
        status, found = await supervisor.say("DELETE", "/v1/complete")
        assert (status, found["reason"]) == (405, "MethodNotAllowed")


async def test_an_error_of_ours_is_to_be_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says nothing of what came."""
    async with collecting(a_place(tmp_path)) as collector, supervising(collector) as supervisor:

        async def broken(*_: object, **__: object) -> None:
            raise RuntimeError("boom")

        monkeypatch.setattr(collector.uploads, "open", broken)
        status, found = await supervisor.open("a")
        assert (status, found["reason"]) == (503, "NotReady")
        assert "boom" not in json.dumps(found)


async def test_a_ticket_without_bytes_holds_a_lease_and_no_more(tmp_path: Path) -> None:
    """Every supervised run has one."""
    async with collecting(a_place(tmp_path)) as collector, supervising(collector, max_bytes=0) as supervisor:
        assert (await supervisor.lease())[0] == 200
        assert (await supervisor.open("a"))[1]["reason"] == "TooLarge"
        assert await supervisor.complete() == (200, {"files": 0, "bytes": 0})
        assert (await supervisor.lease())[0] == 200


async def test_a_run_of_the_same_name_is_another(tmp_path: Path) -> None:
    """Its UID is what counts."""
    runs = ToyRuns()
    async with collecting(a_place(tmp_path), runs=runs) as collector, supervising(collector) as supervisor:
        runs.run = msgspec.structs.replace(RUN, metadata=msgspec.structs.replace(RUN.metadata, uid="another"))
        assert (await supervisor.lease())[1]["reason"] == "RunDeleted"
        assert (await supervisor.open("a"))[1]["reason"] == "RunOver"
