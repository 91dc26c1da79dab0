"""A namespace keeps no more than its quota."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from toe.api.reasons import Reason
from toe.policy.checks.quota_left import check
from toe.policy.upload import UploadRequest

NOW = datetime(2026, 10, 24, 12, tzinfo=UTC)
REQUEST = UploadRequest(run=None, run_uid="u", expires=NOW + timedelta(hours=1), now=NOW)


def _reasons(**facts: Any) -> list[Reason]:
    return [violation.reason for violation in check(msgspec.structs.replace(REQUEST, **facts))]


def test_allows_up_to_the_quota_and_what_adds_nothing() -> None:
    """Nobody is kept from ending what he has begun."""
    assert _reasons(size=10**15) == []
    assert _reasons(namespace_used=6, size=4, namespace_quota=10, total_used=96, total_quota=100) == []
    assert _reasons(namespace_used=16, size=0, namespace_quota=10) == []


def test_denies_a_byte_more() -> None:
    """Of the namespace, of all, or of both."""
    assert _reasons(namespace_used=6, size=5, namespace_quota=10) == [Reason.QUOTA_EXCEEDED]
    assert _reasons(total_used=6, size=5, total_quota=10) == [Reason.QUOTA_EXCEEDED]
    assert _reasons(namespace_used=1, size=1, namespace_quota=0, total_quota=0) == [Reason.QUOTA_EXCEEDED] * 2
