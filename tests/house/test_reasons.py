"""Every reason is given by some code and shown by some test."""

from pathlib import Path

import pytest

from toe.api.reasons import REASONS, Reason

ROOT = Path(__file__).parents[2]


def _text(folder: Path, *patterns: str, without: tuple[str, ...] = ()) -> str:
    files = (path for pattern in patterns for path in sorted(folder.rglob(pattern)) if path.name not in without)
    return "\n".join(path.read_text() for path in files)


SOURCE = _text(ROOT / "src", "*.py", without=("reasons.py",))
SHOWN = _text(ROOT / "tests", "*.py", "*.yaml", without=("test_reasons.py",))


@pytest.mark.parametrize("reason", list(Reason))
def test_a_reason_is_described_given_and_shown(reason: Reason) -> None:
    """In REASONS, by code outside of it, and by a test or a golden plan."""
    assert REASONS[reason]
    assert f"Reason.{reason.name}" in SOURCE
    assert f"Reason.{reason.name}" in SHOWN or str(reason) in SHOWN
