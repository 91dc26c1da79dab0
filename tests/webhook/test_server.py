"""The server in front of the judge: it answers in time or refuses, and never fails."""

import asyncio
import gzip
import io
import json
import logging
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from typing import Any

import pytest
import structlog
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from tests.builders import NOW, SETTINGS, a_config, a_request
from tests.properties.words import a_random_value
from tests.webhook.reviews import a_config_review, a_run_review, as_bytes
from toe.api.powertool import PowerTool
from toe.kube import serving as module
from toe.kube.metrics import Metrics
from toe.policy.request import Request
from toe.webhook.counters import Counters
from toe.webhook.server import Server


class Following:
    """Stands for the collections that are followed."""

    def __init__(self) -> None:
        self.live = True
        self.delay = 0.0
        self.failure: Exception | None = None
        self.configs = self
        self.is_synced = True

    def list(self) -> list[Any]:
        return [a_config()]

    async def request(self, run: PowerTool, now: Any, seconds: float) -> Request:
        await asyncio.sleep(self.delay)
        if self.failure is not None:
            raise self.failure
        return a_request(run, matching=1)


@asynccontextmanager
async def serving(following: Following, *, ready: bool = True) -> AsyncIterator[TestClient[Any, Any]]:
    """Serves with a judge that sees what a test says."""
    server = Server(following, SETTINGS, lambda: NOW, lambda: "" if ready else "because", Counters(Metrics()))  # type: ignore[arg-type]
    async with TestClient(TestServer(server.application())) as client:
        yield client


async def _answer(client: TestClient[Any, Any], path: str, review: Any) -> dict[str, Any]:
    async with client.post(path, data=as_bytes(review)) as found:
        assert found.status == 200
        return json.loads(await found.read())["response"]


async def test_each_path_has_its_judge() -> None:
    """Runs, configs, and the stamp."""
    async with serving(Following()) as client:
        assert (await _answer(client, "/validate-powertool", a_run_review()))["allowed"]
        assert (await _answer(client, "/validate-powertoolconfig", a_config_review()))["allowed"]
        assert "patch" in await _answer(client, "/mutate-powertool", a_run_review())
        refused = await _answer(client, "/validate-powertool", a_run_review(tool={"duration": "9h"}))
        assert (refused["allowed"], refused["status"]["code"]) == (False, 403)


async def test_only_creation_of_a_run_is_judged() -> None:
    """Cancel and clean-up never depend on the webhook."""
    review = a_run_review()
    review["request"]["operation"] = "UPDATE"
    following = Following()
    following.live = False
    async with serving(following) as client:
        assert (await _answer(client, "/validate-powertool", review))["allowed"]
        assert "patch" not in await _answer(client, "/mutate-powertool", review)


@pytest.mark.parametrize(
    ("delay", "failure", "live", "words"),
    [
        (5.0, None, True, "in time"),
        (0.0, RuntimeError("boom"), True, "log of its webhook"),
        (0.0, None, False, "stale"),
    ],
)
async def test_slow_broken_or_stale_is_a_refusal_in_time(
    delay: float, failure: Exception | None, live: bool, words: str
) -> None:
    """Within 60 % of the API server's timeout, and never a 5xx."""
    following = Following()
    following.delay, following.failure, following.live = delay, failure, live
    async with serving(following) as client:
        began = asyncio.get_running_loop().time()
        response = await _answer(client, "/validate-powertool?timeout=0.5s", a_run_review())
        assert asyncio.get_running_loop().time() - began < 2
    assert not response["allowed"]
    assert words in response["status"]["message"]


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"\xff", b"{" * 1000])
async def test_what_is_no_review_is_a_bad_request(body: bytes) -> None:
    """With one sentence."""
    async with serving(Following()) as client, client.post("/validate-powertool", data=body) as found:
        assert found.status == 400
        assert "AdmissionReview" in await found.text()


async def test_what_is_too_large_is_told_so() -> None:
    """Before it is read whole."""
    body = io.BytesIO(b" " * (8 << 20))
    async with serving(Following()) as client, client.post("/validate-powertool", data=body) as found:
        assert found.status == 413


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
async def test_readiness_is_what_it_is_told(ready: bool, status: int) -> None:
    """Alive is another question."""
    async with serving(Following(), ready=ready) as client:
        async with client.get("/readyz") as found:
            assert found.status == status
        async with client.get("/healthz") as found:
            assert found.status == 200


async def test_what_cannot_be_unpacked_or_never_arrives_is_a_bad_request() -> None:
    """Wrongly compressed, or slower than the API server would wait."""
    server = Server(Following(), SETTINGS, lambda: NOW, str, Counters(Metrics()))  # type: ignore[arg-type]
    async with server.listening(0, None) as port, ClientSession(f"http://127.0.0.1:{port}") as client:
        headers = {"Content-Encoding": "gzip"}
        for body in (b"no gzip", gzip.compress(b" " * 1000)):
            async with client.post("/validate-powertool", data=body, headers=headers) as found:
                assert found.status == 400

        async def drips() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.sleep(2)

        async with client.post("/validate-powertool?timeout=0.5s", data=drips()) as found:
            assert found.status == 408


async def test_metrics_count_answers_and_hold_no_names() -> None:
    """And are not served to whoever comes."""
    metrics = Metrics()
    server = Server(Following(), SETTINGS, lambda: NOW, str, Counters(metrics))  # type: ignore[arg-type]
    async with TestClient(TestServer(server.application())) as client:
        await _answer(client, "/validate-powertool", a_run_review())
        async with client.get("/metrics") as found:
            assert found.status == 404, "who may see them is for the program to say"
    text = metrics.text().decode()
    assert 'toe_webhook_reviews_total{outcome="allowed",path="/validate-powertool"} 1.0' in text
    assert "alice" not in text


async def test_who_connects_and_says_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with half of the headers; who has asked once may stay."""
    monkeypatch.setattr(module, "HEADER_SECONDS", 0.2)
    server = Server(Following(), SETTINGS, lambda: NOW, str, Counters(Metrics()))  # type: ignore[arg-type]
    async with server.listening(0, None) as port, ClientSession() as session:
        url = f"http://127.0.0.1:{port}"
        async with session.get(url + "/healthz") as found:
            assert found.status == 200
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /validate-powertool HTTP/1.1\r\nHost:")
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
        await asyncio.sleep(0.4)
        async with session.get(url + "/readyz") as found:
            assert found.status == 200
        assert session.connector is not None


async def test_answers_in_flight_are_finished_when_it_stops() -> None:
    """The API server that has asked gets its answer."""
    following = Following()
    following.delay = 0.5
    server = Server(following, SETTINGS, lambda: NOW, str, Counters(Metrics()))  # type: ignore[arg-type]
    async with ClientSession() as session:
        async with server.listening(0, None) as port:
            url = f"http://127.0.0.1:{port}/validate-powertool"
            asked = asyncio.create_task(session.post(url, data=as_bytes(a_run_review())))
            await asyncio.sleep(0.2)
        found = await asked
        assert json.loads(await found.read())["response"]["allowed"]
        with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.1", port)):
            pass


async def test_what_nobody_can_read_is_quoted_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    """A header that is broken or too long may hold somebody's token: neither answer nor log repeats it."""
    server = Server(Following(), SETTINGS, lambda: NOW, str, Counters(Metrics()))  # type: ignore[arg-type]
    async with server.listening(0, None) as port:
        for broken in (b"canary\x00", b"canary" + b"x" * 20_000, b"canary\r\n canary: \x01"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                b"POST /validate-powertool HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + broken + b"\r\n\r\n"
            )
            async with asyncio.timeout(5):
                said = await reader.read()
            writer.close()
            assert b" 400 " in said.split(b"\r\n")[0]
            assert b"canary" not in said
    printed = capfd.readouterr()
    assert "canary" not in printed.out + printed.err


def _mangled(chance: random.Random) -> bytes:
    """Returns a review of a run or a config in which something is wrong, mostly in the object itself."""
    review = deepcopy(chance.choice((a_run_review, a_config_review))())
    obj = review["request"]["object"]
    for _ in range(chance.randint(1, 3)):
        place: Any = review if chance.random() < 0.15 else chance.choice((obj, obj["metadata"], obj["spec"]))
        while isinstance(place, (dict, list)) and place:
            key = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
            if not isinstance(place[key], (dict, list)) or chance.random() < 0.2:
                place[key] = a_random_value(chance)
                break
            place = place[key]
        if chance.random() < 0.3 and isinstance(place, dict):
            place[chance.choice(["", "operation", "args", "env", "\ud800", "x" * 300])] = a_random_value(chance)
        if not isinstance(obj.get("metadata"), dict) or not isinstance(obj.get("spec"), dict):
            break
    body = bytearray(as_bytes(review))
    for _ in range(chance.choice((0,) * 6 + (1, 3))):
        body[chance.randrange(len(body))] = chance.randrange(256)
    return bytes(body)


class Posted:
    """Is a request as far as the server looks at it."""

    path = "/"

    def __init__(self, body: bytes) -> None:
        self.query = {"timeout": "5s"}
        self._body = body

    async def read(self) -> bytes:
        return self._body


async def test_any_body_gets_a_review_or_a_bad_request() -> None:
    """24,000 of them: an answer carries the uid that came, or the status is below 500; nothing is raised."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    server = Server(Following(), SETTINGS, lambda: NOW, str, Counters(Metrics()))  # type: ignore[arg-type]
    routes = [route for route in server.application().router.routes() if route.method == "POST"]
    chance = random.Random(11)
    statuses = dict.fromkeys(("allowed", "refused", "bad"), 0)
    try:
        for number in range(24_000):
            body = _mangled(chance)
            response = await routes[number % len(routes)].handler(Posted(body))  # type: ignore[arg-type, misc]
            assert isinstance(response, web.Response)
            if response.status != 200:
                assert 400 <= response.status < 500
                statuses["bad"] += 1
                continue
            assert isinstance(response.body, bytes)
            answer = json.loads(response.body)
            assert (answer["apiVersion"], answer["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
            assert answer["response"]["uid"] == json.loads(body)["request"]["uid"]
            if answer["response"]["allowed"]:
                statuses["allowed"] += 1
            else:
                assert answer["response"]["status"]["code"] in (403, 422)
                assert "log of its webhook" not in answer["response"]["status"]["message"], body
                statuses["refused"] += 1
    finally:
        structlog.reset_defaults()
    assert min(statuses.values()) > 1000, statuses
