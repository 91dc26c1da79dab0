"""Whose a token is, as the API server says."""

import json
from typing import Any

import pytest

from tests.kube.scripted import Answer, Scripted, refuses, says
from toe.errors import DecodeError, ForbiddenError
from toe.kube.client import Client
from toe.kube.token_review import LONGEST_TOKEN, User, bearer, holder

ALICE: dict[str, Any] = {"username": "alice", "uid": "u", "groups": ["dev"], "extra": {"scope": ["a"]}}


async def _holder(answer: Answer, token: str = "t") -> tuple[User | None, list[bytes]]:
    async with Scripted([answer]) as server, Client(server.access) as client:
        return await holder(client, token), [asked.body for asked in server.asked]


async def test_a_good_token_is_its_holders() -> None:
    """With the whole identity; the token is in the body of one request and nowhere else."""
    found, (body,) = await _holder(says({"status": {"authenticated": True, "user": ALICE}}))
    assert found == User("alice", "u", ("dev",), {"scope": ("a",)})
    assert json.loads(body)["spec"] == {"token": "t"}


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"authenticated": False, "user": ALICE},
        {"authenticated": True, "user": ALICE, "error": "expired"},
        {"authenticated": True, "user": {}},
    ],
)
async def test_a_token_that_is_not_plainly_somebodys_is_nobodys(status: dict[str, Any]) -> None:
    """Whatever else the answer says."""
    found, _ = await _holder(says({"status": status}))
    assert found is None


@pytest.mark.parametrize("token", ["", "x" * (LONGEST_TOKEN + 1)])
async def test_what_cannot_be_a_token_is_not_asked_about(token: str) -> None:
    """It is nobody's."""
    assert await _holder(says({}), token) == (None, [])


async def test_no_answer_is_an_error() -> None:
    """And not a refusal: who asks may try again."""
    with pytest.raises(ForbiddenError):
        await _holder(refuses(403, "Forbidden"))
    with pytest.raises(DecodeError):
        await _holder(says({"status": {"authenticated": "perhaps"}}))


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        (["Bearer t"], "t"),
        (["bearer  t "], "t"),
        ([], ""),
        (["Basic t"], ""),
        (["Bearer t", "Bearer u"], ""),
        (["Bearer"], ""),
    ],
)
def test_a_token_is_in_one_header(headers: list[str], token: str) -> None:
    """Two of them are none."""
    assert bearer(headers) == token
