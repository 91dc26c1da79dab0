"""Kubernetes quantities, as far as limits need them."""

import pytest

from toe.api.quantity import format_bytes, parse_bytes, parse_cpu_percent


@pytest.mark.parametrize(
    ("text", "count"), [("0", 0), ("7", 7), ("256Mi", 256 * 2**20), ("1k", 1000), ("2G", 2 * 10**9), ("1Ti", 2**40)]
)
def test_memory_is_read_in_bytes(text: str, count: int) -> None:
    """Powers of two with an i, of ten without."""
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "1.5Gi", "-1", "lots", "1KiB", "1 Mi", "1Mi\n", "1e3"])
def test_what_is_no_memory_is_none(text: str) -> None:
    """A quantity that is not understood is never a guess."""
    assert parse_bytes(text) is None


@pytest.mark.parametrize(
    ("text", "percent"), [("500m", 50), ("1m", 1), ("15m", 2), ("2", 200), ("0.5", 50), ("1.25", 125), ("0", 0)]
)
def test_cpu_is_read_in_percent_of_a_core(text: str, percent: int) -> None:
    """A thousandth is rounded up: a limit above zero never becomes zero."""
    assert parse_cpu_percent(text) == percent


@pytest.mark.parametrize("text", ["", "half", "-1", "1.234", "1.", ".5", "1m\n"])
def test_what_is_no_cpu_is_none(text: str) -> None:
    """A quantity that is not understood is never a guess."""
    assert parse_cpu_percent(text) is None


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (48 * 2**10, "48 KiB"), (2**40, "1.0 TiB")],
)
def test_sizes_are_written_for_people(count: int, text: str) -> None:
    """One decimal below ten, none above."""
    assert format_bytes(count) == text
