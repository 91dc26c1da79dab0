"""Plain text for people: what is safe on a terminal, what fits into it, and how long something took."""

import textwrap
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import zip_longest

GAP = "  "
NARROWEST = 12
"""Columns that a cell keeps however narrow the terminal is."""

_BLANKS = str.maketrans("\t\r\n\v\f", "     ")


def one_line(text: str) -> str:
    """Returns ``text`` on one line without anything that a terminal acts upon.

    White space becomes a blank; control characters, and those that turn the direction of writing, become U+FFFD.
    """
    blanked = text.translate(_BLANKS)
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in blanked
    ).rstrip()


def columns(
    header: Sequence[str], rows: Iterable[Sequence[str]], width: int | None = None, *, least: Sequence[int] = ()
) -> list[str]:
    """Returns the lines of a table, blanks between the columns; every cell is made safe first.

    With ``width`` the widest columns are folded until the table fits (never below 12 characters a column). ``least`` is
    how wide the first columns are at least, so that tables that are printed one after the other look like one.
    """
    cells = [[one_line(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(header))]
    widths = [max(pair) for pair in zip_longest(widths, least, fillvalue=0)]
    if width is not None:
        widths = _fitted(widths, width)
    return [line for row in cells for line in _folded(row, widths)]


def facts(pairs: Iterable[tuple[str, str]], width: int | None = None) -> list[str]:
    """Returns one line for each name and value, the values below each other; folded into ``width``."""
    (first, *rest) = list(pairs)
    return [f"  {line}" for line in columns(first, rest, width - 2 if width else None)]


def _fitted(widths: list[int], width: int) -> list[int]:
    room = width - len(GAP) * (len(widths) - 1)
    fitted = list(widths)
    while sum(fitted) > room:
        widest = max(range(len(fitted)), key=fitted.__getitem__)
        if fitted[widest] <= NARROWEST:
            break
        fitted[widest] -= 1
    return fitted


def _folded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    parts = [
        textwrap.wrap(cell, width, break_on_hyphens=False) or [""] for cell, width in zip(row, widths, strict=True)
    ]
    height = max(map(len, parts))
    lines = []
    for index in range(height):
        padded = [
            (part[index] if index < len(part) else "").ljust(width) for part, width in zip(parts, widths, strict=True)
        ]
        lines.append(GAP.join(padded).rstrip())
    return lines


def span(duration: timedelta) -> str:
    """Writes a duration for people, in whole seconds: ``12 s``, ``2 min 5 s``, ``1 h 10 min``."""
    seconds = max(0, round(duration.total_seconds()))
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
    return f"{seconds} s"


def count(number: int, thing: str) -> str:
    """Writes a number with its noun: ``1 pod``, ``2 pods``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
