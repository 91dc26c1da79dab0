"""Metrics are for who shows a token and has the right."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.kube.scripted import Answer, Scripted, refuses, says
from toe.kube import scraping as module
from toe.kube.client import Client
from toe.kube.scraping import Scraping

KNOWN = says({"status": {"authenticated": True, "user": {"username": "prometheus"}}})
UNKNOWN = says({"status": {"authenticated": False}})
MAY, MAY_NOT = (says({"status": {"allowed": allowed}}) for allowed in (True, False))
TOKEN = {"Authorization": "Bearer t"}


async def _asked(answers: list[Answer], *headers: dict[str, str]) -> tuple[list[tuple[int, str]], int]:
    """Asks once with each of the headers; returns the answers, and how often the API server was asked."""
    async with Scripted(answers) as server, Client(server.access) as client:
        application = web.Application()
        Scraping(client, lambda: b"toe_secret 1\n").add_to(application)
        async with TestClient(TestServer(application)) as http:
            found = []
            for sent in headers:
                async with http.get("/metrics", headers=sent) as answer:
                    found.append((answer.status, await answer.text()))
        return found, len(server.asked)


async def test_without_a_token_nothing_is_told_and_nobody_asked() -> None:
    """401, as every API server says it."""
    assert await _asked([], {}, {"Authorization": "Basic x"}) == ([(401, "a bearer token is wanted\n")] * 2, 0)


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([UNKNOWN], 401),
        ([KNOWN, MAY_NOT], 403),
        ([refuses(403, "Forbidden")], 503),
        ([KNOWN, refuses(403, "Forbidden")], 503),
        ([KNOWN, MAY], 200),
    ],
)
async def test_only_a_plain_yes_opens(answers: list[Answer], status: int) -> None:
    """An unknown token, no right, no answer: none of them sees a number."""
    ((found, text),), _ = await _asked(answers, TOKEN)
    assert found == status
    assert ("toe_secret" in text) == (status == 200)


async def test_a_good_token_is_remembered_for_a_moment_and_a_bad_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scraper that comes twice a minute costs two questions; a right that was taken away ends soon."""
    found, asked = await _asked([KNOWN, MAY], TOKEN, TOKEN, TOKEN)
    assert ([status for status, _ in found], asked) == ([200] * 3, 2)
    found, asked = await _asked([UNKNOWN, UNKNOWN], TOKEN, TOKEN)
    assert ([status for status, _ in found], asked) == ([401] * 2, 2)
    monkeypatch.setattr(module, "REMEMBERED_SECONDS", 0.0)
    found, asked = await _asked([KNOWN, MAY, KNOWN, MAY_NOT], TOKEN, TOKEN)
    assert ([status for status, _ in found], asked) == ([200, 403], 4)


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """And holds no token, only its hash."""
    monkeypatch.setattr(module, "REMEMBERED", 4)
    async with Scripted([KNOWN, MAY] * 7) as server, Client(server.access) as client:
        scraping = Scraping(client, bytes)
        for number in range(7):
            await scraping._refused(f"token-{number}")
        assert len(scraping._good) == 4
        assert all(len(key) == 32 for key in scraping._good)
