"""Records: read back as they were written, and refused when they are none."""

from datetime import UTC, datetime

import msgspec
import pytest

from toe.errors import DecodeError
from toe.store.records import MOST_BYTES, Record, read_record, write_record

RECORD = Record(
    key="production/slow/2026-10-24-6f1c2a9e/checkout-7d9f4/flame.svg",
    artifact="slow-0123456789",
    name="../flame.svg\x00",
    namespace="production",
    run="slow",
    run_uid="6f1c2a9e-0000-4000-8000-000000000000",
    tool="async-profiler",
    pod="checkout-7d9f4",
    pod_uid="7d9f",
    container="toe-slow",
    target="app",
    bytes=5,
    sha256="0" * 64,
    kept_at=datetime(2026, 10, 24, 12, tzinfo=UTC),
    keep_until=datetime(2026, 11, 24, 12, tzinfo=UTC),
    encoding="zstd",
    requester="alice@example.com",
)


def test_a_record_is_read_as_it_was_written() -> None:
    """Whatever the tool called its file."""
    assert read_record(write_record(RECORD)) == RECORD


def test_a_record_is_readable() -> None:
    """One line a field, camelCase, times in RFC 3339."""
    lines = write_record(RECORD).decode().splitlines()

    assert '  "keepUntil": "2026-11-24T12:00:00Z",' in lines
    assert '  "runUid": "6f1c2a9e-0000-4000-8000-000000000000",' in lines


@pytest.mark.parametrize(
    "change",
    [{"sha256": "x"}, {"bytes": -1}, {"keptAt": "2026-10-24T12:00:00"}, {"encoding": "gzip"}, {"key": ""}],
    ids=str,
)
def test_what_is_no_record_is_refused(change: dict[str, object]) -> None:
    """Damaged fields, and times without a zone."""
    raw = msgspec.json.decode(write_record(RECORD)) | change

    with pytest.raises(DecodeError):
        read_record(msgspec.json.encode(raw))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[]", b" " * (MOST_BYTES + 1)], ids=["", "{", "ff", "[]", ">"]
)
def test_what_is_no_json_is_refused(content: bytes) -> None:
    """And what is too large is not even looked at."""
    with pytest.raises(DecodeError):
        read_record(content)


def test_a_record_that_is_too_large_is_none() -> None:
    """Even where it could be understood."""
    content = write_record(RECORD)

    assert read_record(content.ljust(MOST_BYTES)) == RECORD
    with pytest.raises(DecodeError):
        read_record(content.ljust(MOST_BYTES + 1))
