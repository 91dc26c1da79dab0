"""Promises of the translation from Kubernetes' refusals to toe's errors."""

import json

import pytest

from toe.errors import (
    ClusterError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from toe.kube.status import refusal


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, InvalidError),
        (401, ForbiddenError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (405, InvalidError),
        (408, UnavailableError),
        (409, ConflictError),
        (410, ExpiredError),
        (413, InvalidError),
        (415, InvalidError),
        (422, InvalidError),
        (429, UnavailableError),
        (500, UnavailableError),
        (503, UnavailableError),
        (504, UnavailableError),
        (302, UnavailableError),
    ],
)
def test_each_status_has_its_error(code: int, kind: type[ClusterError]) -> None:
    """The HTTP status decides which error is raised."""
    error = refusal(code, b"")
    assert type(error) is kind
    assert error.status == code


def test_a_status_object_is_kept_whole() -> None:
    """Message, reason and every cause of a Status reach the caller."""
    body = json.dumps(
        {
            "kind": "Status",
            "message": 'Pod "a" is invalid',
            "reason": "Invalid",
            "code": 422,
            "details": {"causes": [{"reason": "FieldValueInvalid", "message": "immutable", "field": "metadata.uid"}]},
        }
    ).encode()
    error = refusal(422, body)
    assert error.message == 'Pod "a" is invalid'
    assert error.reason == "Invalid"
    assert error.causes == (("metadata.uid", "immutable"),)
    assert error.retry_after is None


@pytest.mark.parametrize(
    ("header", "seconds", "expected"),
    [
        ("7", 0, 7.0),
        ("7", 3, 7.0),
        ("", 3, 3.0),
        ("", 0, None),
        ("0", 0, None),
        ("-1", 0, None),
        ("soon", 2, 2.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 0, 1.0),
    ],
)
def test_the_wish_to_wait_is_read_from_header_and_body(header: str, seconds: int, expected: float | None) -> None:
    """Retry-After wins over details.retryAfterSeconds; nonsense counts as no wish."""
    body = json.dumps({"details": {"retryAfterSeconds": seconds}}).encode()
    assert refusal(429, body, retry_after=header).retry_after == expected


def test_plain_text_is_cut() -> None:
    """What a load balancer says instead of a Status is kept, but not a page of HTML."""
    error = refusal(502, b"<html>\n  bad   gateway\xff" + b"x" * 5000)
    assert error.message.startswith("<html> bad gateway")
    assert len(error.message) == 200


def test_a_watch_error_carries_its_own_code() -> None:
    """An ERROR event has no HTTP status: the Status inside tells it, and Expired is known by its reason too."""
    assert isinstance(refusal(0, b'{"kind":"Status","code":410,"reason":"Expired"}'), ExpiredError)
    assert isinstance(refusal(0, b'{"kind":"Status","code":400,"reason":"Expired"}'), ExpiredError)
    assert refusal(0, b"{}").status == 500
