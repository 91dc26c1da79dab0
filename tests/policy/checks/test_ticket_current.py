"""A ticket is good until it expires."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from toe.api.reasons import Reason
from toe.policy.checks.ticket_current import check
from toe.policy.upload import UploadRequest

NOW = datetime(2026, 10, 24, 12, tzinfo=UTC)
REQUEST = UploadRequest(run=None, run_uid="u", expires=NOW + timedelta(hours=1), now=NOW)


def _reasons(**facts: Any) -> list[Reason]:
    return [violation.reason for violation in check(msgspec.structs.replace(REQUEST, **facts))]


def test_allows_the_last_moment() -> None:
    """Before its end."""
    assert _reasons(expires=NOW + timedelta(microseconds=1)) == []


def test_denies_from_its_end_on() -> None:
    """Not a moment longer."""
    assert _reasons(expires=NOW) == [Reason.RUN_OVER]
