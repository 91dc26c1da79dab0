"""The server in front of the judge: it answers in time or refuses, and never fails."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.builders import NOW, SETTINGS, a_config, a_request
from tests.webhook.reviews import a_config_review, a_run_review, as_bytes
from toe.api.powertool import PowerTool
from toe.policy.request import Request
from toe.webhook.server import Server


class Following:
    """Stands for the collections that are followed."""

    def __init__(self) -> None:
        self.live = True
        self.delay = 0.0
        self.failure: Exception | None = None
        self.configs = self

    def list(self) -> list[Any]:
        return [a_config()]

    async def request(self, run: PowerTool, now: Any) -> Request:
        await asyncio.sleep(self.delay)
        if self.failure is not None:
            raise self.failure
        return a_request(run, matching=1)


@asynccontextmanager
async def serving(following: Following, *, ready: bool = True) -> AsyncIterator[TestClient[Any, Any]]:
    """Serves with a judge that sees what a test says."""
    server = Server(following, SETTINGS, lambda: NOW, lambda: ready)  # type: ignore[arg-type]
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
