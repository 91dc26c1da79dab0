"""A ticket brings no more bytes and files than it says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from toe.api.reasons import Reason
from toe.policy.checks.within_limit import check
from toe.policy.upload import UploadRequest

NOW = datetime(2026, 10, 24, 12, tzinfo=UTC)
REQUEST = UploadRequest(run=None, run_uid="u", expires=NOW + timedelta(hours=1), now=NOW)


def _reasons(**facts: Any) -> list[Reason]:
    return [violation.reason for violation in check(msgspec.structs.replace(REQUEST, **facts))]


def test_allows_up_to_the_limit() -> None:
    """Also nothing, where it permits nothing."""
    assert _reasons() == []
    assert _reasons(received=6, size=4, max_bytes=10, files=1000) == []


def test_denies_a_byte_or_a_file_more() -> None:
    """And any file of a run that only holds a lease."""
    for facts in (
        {"received": 6, "size": 5, "max_bytes": 10},
        {"files": 1001, "max_bytes": 10},
        {"files": 1, "max_bytes": 0},
    ):
        assert _reasons(**facts) == [Reason.TOO_LARGE]
