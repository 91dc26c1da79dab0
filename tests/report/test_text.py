"""Text for people is safe on a terminal and fits into it."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toe.report.text import columns, count, facts, one_line, span


@given(st.text())
def test_nothing_that_a_terminal_acts_upon_is_left(text: str) -> None:
    """Whatever comes from a pod: one line, and every character is printable."""
    assert one_line(text).isprintable()


def test_colour_codes_and_writing_direction_are_replaced() -> None:
    """An escape cannot move the cursor, an override cannot turn a name around."""
    assert one_line("a\x1b[2Jb\u202egpj\n c") == "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}gpj  c"


def test_columns_stand_below_each_other_without_blanks_at_the_end() -> None:
    """A table reads as one, and a pipe gets no trailing blanks."""
    assert columns(("POD", "STATE"), [("shop-1", "Running"), ("x", "")]) == ["POD     STATE", "shop-1  Running", "x"]


def test_a_table_is_folded_into_the_terminal() -> None:
    """At 40 columns no line is longer, no word is lost, and a cell continues below itself."""
    lines = columns(("TOOL", "WHY"), [("tcpdump", "no: the namespace enforces Pod Security restricted here")], 40)
    assert max(map(len, lines)) <= 40
    assert len(lines) > 2
    assert " ".join(line[9:].strip() for line in lines[1:]) == "no: the namespace enforces Pod Security restricted here"


@given(st.lists(st.tuples(st.text(max_size=80), st.text(max_size=80)), min_size=1), st.integers(1, 200))
def test_no_line_is_wider_than_the_terminal_allows(rows: list[tuple[str, str]], width: int) -> None:
    """Except where the terminal is narrower than 12 characters a column."""
    assert all(len(line) <= max(width, 2 * 12 + 2) for line in columns(("A", "B"), rows, width))


def test_columns_can_be_kept_wide_enough_for_what_comes_later() -> None:
    """Tables that are printed one after the other look like one."""
    assert columns(("A", "B"), [("1", "2")], least=(3,)) == ["A    B", "1    2"]


def test_facts_stand_below_each_other() -> None:
    """Names first, values in one column, all set in by two."""
    assert facts([("tier", "Low"), ("image", "a:1")]) == ["  tier   Low", "  image  a:1"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (0.4, "0 s"), (12, "12 s"), (60, "1 min"), (125, "2 min 5 s"), (3600, "1 h"), (4205, "1 h 10 min")],
)
def test_durations_are_told_in_whole_seconds(seconds: float, text: str) -> None:
    """The two largest units at most."""
    assert span(timedelta(seconds=seconds)) == text


def test_one_pod_is_not_pods() -> None:
    """Numbers agree with their nouns."""
    assert (count(1, "pod"), count(0, "pod"), count(2, "pod")) == ("1 pod", "0 pods", "2 pods")
