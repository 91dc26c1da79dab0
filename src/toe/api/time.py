"""Times and durations as the API writes them.

Times are RFC 3339 in UTC with whole seconds (Kubernetes' metav1.Time); durations are Go durations (``90s``, ``2m30s``).
"""

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_WHOLE = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h))+")
_MICROSECONDS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}
_YEAR = timedelta(days=366)


def parse_duration(text: str) -> timedelta | None:
    """Reads a Go duration such as ``1h30m`` or ``90s``; None when it is none, is negative or is longer than a year.

    Exact, cut to microseconds: 999.9999 ms are less than a second, here as in CEL.
    Source: https://pkg.go.dev/time#ParseDuration, without signs, ns and µs, which no run needs.
    """
    if len(text) > 32 or not _WHOLE.fullmatch(text):
        return None
    whole = sum(Fraction(value) * _MICROSECONDS[unit] for value, unit in _PART.findall(text))
    return timedelta(microseconds=int(whole)) if whole <= _YEAR / timedelta(microseconds=1) else None


def format_duration(duration: timedelta) -> str:
    """Writes a Go duration with the largest units that keep it whole: ``1h``, ``2m30s``, ``500ms``."""
    total = round(duration.total_seconds() * 1000)
    if total == 0:
        return "0s"
    hours, rest = divmod(total, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    seconds, millis = divmod(rest, 1000)
    parts = [(hours, "h"), (minutes, "m"), (seconds, "s"), (millis, "ms")]
    return "".join(f"{value}{unit}" for value, unit in parts if value)


def parse_time(text: str) -> datetime | None:
    """Reads an RFC 3339 time; None when it is absent or is none."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def format_time(moment: datetime) -> str:
    """Writes ``moment`` as Kubernetes does: UTC, whole seconds, ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
