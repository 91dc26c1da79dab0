"""Times and durations as the API writes them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from toe.api.time import format_duration, format_time, parse_duration, parse_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("1h30m5s", 5405),
        ("1.5s", 1.5),
        ("1500ms", 1.5),
        ("0s", 0),
        ("8784h", 366 * 86400),
        ("0.1ms", 0.0001),
    ],
)
def test_go_durations_are_read(text: str, seconds: float) -> None:
    """Units from ms to h, summed up, exactly."""
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "30",
        "1h30",
        "-5s",
        "+5s",
        "1e9s",
        "10y",
        " 30s",
        "30s\n",
        "30S",
        "٣٠s",
        "8785h",
        "9" * 32 + "h",
        "1" * 33 + "s",
    ],
)
def test_everything_else_is_none(text: str) -> None:
    """No sign, no blank, no other digit than ASCII's, no more than a year."""
    assert parse_duration(text) is None


def test_what_is_less_than_a_second_stays_less() -> None:
    """Nothing is rounded up to what a rule asks for."""
    assert parse_duration("999.9999999ms") == timedelta(microseconds=999_999)


@pytest.mark.parametrize("text", ["0s", "1h", "2m30s", "500ms", "1h1m1s1ms", "8784h"])
def test_durations_are_written_with_the_largest_units(text: str) -> None:
    """What is written is read as the same."""
    parsed = parse_duration(text)
    assert parsed is not None
    assert format_duration(parsed) == text


def test_times_are_written_as_kubernetes_does() -> None:
    """UTC, whole seconds, Z; and read again."""
    moment = datetime(2026, 3, 1, 14, 0, 0, 999, tzinfo=timezone(timedelta(hours=2)))
    assert format_time(moment) == "2026-03-01T12:00:00Z"
    assert parse_time("2026-03-01T12:00:00Z") == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert parse_time("2026-03-01T14:00:00.5+02:00") == datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-03-01T12:00:00", "2026-13-01T12:00:00Z"])
def test_what_is_no_time_is_none(text: str) -> None:
    """A time without a zone is none."""
    assert parse_time(text) is None
