"""Cells of the generated tables: text as Markdown takes it."""

from collections.abc import Iterable, Sequence


def cell(text: str) -> str:
    """Returns a text that stays in its cell."""
    return " ".join(text.replace("|", "\\|").split())


def code(text: str) -> str:
    """Returns a text as code; nothing stays nothing."""
    return f"`{cell(text)}`" if text else ""


def codes(texts: Iterable[str], between: str = " ") -> str:
    """Returns texts as code, one beside the other."""
    return between.join(code(text) for text in texts)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table; cells come as they shall stand there."""
    lines = (head, ("---",) * len(head), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
