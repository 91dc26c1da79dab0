"""May somebody do something? Asked with the whole identity; no answer is no permission."""

import json

import pytest

from tests.kube.scripted import Answer, Scripted, hangs, refuses, says
from toe.kube.access_review import review
from toe.kube.client import Client

ALICE = {
    "username": "alice",
    "uid": "u-1",
    "groups": ["dev", "system:authenticated"],
    "extra": {"Example.com/Team": ["shop"]},
}
USE = {"verb": "use", "group": "codriverlabs.ai.toe.run", "resource": "powertoolconfigs", "namespace": "shop"}


async def _asked(*answers: Answer, deadline: float = 3.0) -> tuple[bool | None, dict]:
    async with Scripted(list(answers)) as server, Client(server.access) as client:
        answer = await review(client, ALICE, USE, deadline=deadline)
        return answer, json.loads(server.asked[0].body)["spec"]


async def test_username_uid_groups_and_extra_all_reach_the_api_server() -> None:
    """A review of the name alone is wrong both ways; keys of extra are lower case there."""
    answer, spec = await _asked(says({"status": {"allowed": True}}))
    assert answer is True
    assert spec == {
        "user": "alice",
        "uid": "u-1",
        "groups": ["dev", "system:authenticated"],
        "extra": {"example.com/team": ["shop"]},
        "resourceAttributes": USE,
    }


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"allowed": True}, True),
        ({"allowed": False}, False),
        ({"allowed": False, "denied": True, "evaluationError": "webhook timed out"}, False),
        ({"allowed": False, "evaluationError": "webhook timed out"}, None),
        ({}, False),
    ],
)
async def test_an_answer_that_could_not_be_made_is_none(status: dict, expected: bool | None) -> None:
    """A refusal by an authorizer stands; an error of one is no refusal."""
    answer, _ = await _asked(says({"status": status}))
    assert answer is expected


@pytest.mark.parametrize("answer", [refuses(403, "Forbidden"), refuses(500, "InternalError"), hangs])
async def test_errors_and_silence_are_no_answer(answer: Answer) -> None:
    """Within the deadline, whatever the server does."""
    found, _ = await _asked(answer, deadline=0.5)
    assert found is None
