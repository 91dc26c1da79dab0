"""Who asks by his token, and whether he may: the API server answers, or nobody gets anything."""

from typing import Any

import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from toe.collector.people import AccessReviews, Bearers, Person, Right, expect_right
from toe.collector.refusals import RefusedError
from toe.errors import ForbiddenError, UnavailableError

ALICE = Person("alice", "u-1", ("people",), {"authentication.kubernetes.io/credential-id": ("JTI=1",)})
RIGHT = Right("get", "shop", "k7-0123456789", "content")


class Cluster:
    """Answers reviews with what a test says."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.bodies: list[Any] = []

    async def raw(self, method: str, path: str, *, body: Any, deadline: float, repeatable: bool) -> bytes:
        self.bodies.append(body)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if isinstance(self.answer, bytes) else msgspec.json.encode(self.answer)


async def _who(answer: Any, *authorization: str) -> Person:
    headers = CIMultiDict([("X-Remote-User", "admin"), *(("Authorization", value) for value in authorization)])
    return await Bearers(Cluster(answer)).who(make_mocked_request("GET", "/", headers=headers))  # type: ignore[arg-type]


GOOD = {
    "status": {
        "authenticated": True,
        "user": {"username": "alice", "uid": "u-1", "groups": ["people"], "extra": dict(ALICE.extra)},
    }
}


async def test_a_good_token_names_its_person() -> None:
    """Whole: name, uid, groups and what else is known; headers that name somebody count for nothing."""
    assert await _who(GOOD, "Bearer t") == ALICE
    assert await _who(GOOD, "bearer   t ") == ALICE
    anybody = {"status": {"authenticated": True, "user": {"username": "bob"}}}
    assert await _who(anybody, "Bearer t") == Person("bob")


@pytest.mark.parametrize(
    "authorization",
    [
        (),
        ("",),
        ("Bearer",),
        ("Bearer ",),
        ("Basic dTpw",),
        ("t",),
        ("Bearer a", "Bearer b"),
        ("Bearer " + "x" * 20_000,),
    ],
)
async def test_what_is_no_token_is_refused_unasked(authorization: tuple[str, ...]) -> None:
    """401, and the API server is not bothered."""
    with pytest.raises(RefusedError) as refused:
        await _who(AssertionError("asked"), *authorization)
    assert refused.value.status == 401


@pytest.mark.parametrize(
    "answer",
    [
        {"status": {"authenticated": False}},
        {"status": {"authenticated": True, "user": {}}},
        {"status": {"authenticated": True, "user": {"username": "alice"}, "error": "audience"}},
        {},
    ],
)
async def test_a_token_that_is_not_good_is_refused(answer: Any) -> None:
    """401, without a reason."""
    with pytest.raises(RefusedError) as refused:
        await _who(answer, "Bearer t")
    assert (refused.value.status, refused.value.message) == (401, "Unauthorized")


@pytest.mark.parametrize("answer", [UnavailableError("down"), ForbiddenError("no", status=403), b"{", b'{"status": 1}'])
async def test_an_unanswered_question_about_a_token_is_a_refusal(answer: Any) -> None:
    """503; the token is in no message."""
    with pytest.raises(RefusedError) as refused:
        await _who(answer, "Bearer canary-token")
    assert refused.value.status == 503
    assert "canary" not in str(refused.value)


async def test_rights_are_asked_for_with_the_whole_identity() -> None:
    """So that a rule about groups, uids or extras holds here too."""
    cluster = Cluster({"status": {"allowed": True}})
    assert await AccessReviews(cluster).may(ALICE, RIGHT) is True  # type: ignore[arg-type]
    assert cluster.bodies[0]["spec"] == {
        "user": "alice",
        "uid": "u-1",
        "groups": ["people"],
        "extra": {"authentication.kubernetes.io/credential-id": ["JTI=1"]},
        "resourceAttributes": {
            "verb": "get",
            "group": "artifacts.toe.run",
            "version": "v1alpha1",
            "resource": "artifacts",
            "subresource": "content",
            "namespace": "shop",
            "name": "k7-0123456789",
        },
    }


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"status": {"allowed": False}}, 403),
        ({"status": {"allowed": False, "denied": True, "evaluationError": "x"}}, 403),
        ({"status": {"allowed": False, "evaluationError": "x"}}, 503),
        (UnavailableError("down"), 503),
        (ForbiddenError("no", status=403), 503),
        (b"{", 503),
    ],
)
async def test_only_yes_is_yes(answer: Any, status: int) -> None:
    """No is 403 with the right to ask for; anything else is 503."""
    with pytest.raises(RefusedError) as refused:
        await expect_right(AccessReviews(Cluster(answer)), ALICE, RIGHT)  # type: ignore[arg-type]
    assert refused.value.status == status
    if status == 403:
        assert 'User "alice" cannot get resource "artifacts/content"' in refused.value.message
