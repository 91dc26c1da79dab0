"""The volumes keep some room, whatever comes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from toe.api.reasons import Reason
from toe.policy.checks.room_left import check
from toe.policy.upload import UploadRequest

NOW = datetime(2026, 10, 24, 12, tzinfo=UTC)
REQUEST = UploadRequest(run=None, run_uid="u", expires=NOW + timedelta(hours=1), now=NOW)


def _reasons(**facts: Any) -> list[Reason]:
    return [violation.reason for violation in check(msgspec.structs.replace(REQUEST, **facts))]


def test_allows_what_leaves_the_mark() -> None:
    """And anything where nothing limits it."""
    assert _reasons(size=10**15) == []
    assert _reasons(size=10, free=110, low_water=100) == []
    assert _reasons(size=0, free=0, low_water=100) == []


def test_denies_a_byte_more() -> None:
    """Before it is read."""
    assert _reasons(size=11, free=110, low_water=100) == [Reason.STORE_FULL]
