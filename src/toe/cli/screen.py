"""What a person sees: data on stdout, talk on stderr, and nothing that a terminal would act upon."""

import os
from collections.abc import Iterable, Mapping
from typing import TextIO

from toe.report.text import one_line

RED, YELLOW, DIM = "31", "33", "2"


class Screen:
    """Prints lines; every one of them is made safe first, whoever wrote it.

    Colour is used on a terminal only, never with NO_COLOR or TERM=dumb, and never carries meaning alone.
    """

    def __init__(self, out: TextIO, err: TextIO, environment: Mapping[str, str]) -> None:
        self.stdout, self.stderr = out, err
        self._environment = environment

    def out(self, line: str = "") -> None:
        """Prints one line of data."""
        print(one_line(line), file=self.stdout)

    def lines(self, lines: Iterable[str]) -> None:
        """Prints lines of data."""
        for line in lines:
            self.out(line)

    def document(self, text: str) -> None:
        """Prints JSON or YAML, in which control characters are escaped already."""
        self.stdout.write(text if text.endswith("\n") else text + "\n")

    def bytes(self, content: bytes) -> None:
        """Prints what a tool printed: bytes into a pipe or file as they are, safe text onto a terminal."""
        if self.stdout.isatty() or not hasattr(self.stdout, "buffer"):
            for line in content.decode(errors="replace").splitlines():
                self.out(line)
            return
        self.stdout.flush()
        self.stdout.buffer.write(content)

    def say(self, line: str = "") -> None:
        """Tells the person something that is no data."""
        self.flush()
        print(one_line(line), file=self.stderr)

    def error(self, message: str) -> None:
        """Says what is wrong."""
        self.flush()
        print(f"{self._painted('error:', RED)} {one_line(message)}", file=self.stderr)

    def warn(self, message: str) -> None:
        """Says what a person should know although it went well."""
        self.flush()
        print(f"{self._painted('warning:', YELLOW)} {one_line(message)}", file=self.stderr)

    def hint(self, message: str) -> None:
        """Says the way out, below an error or a result."""
        self.say(f"  {message}")

    def flush(self) -> None:
        """Hands over what was printed so far, so that both streams keep their order."""
        self.stdout.flush()

    @property
    def width(self) -> int | None:
        """Is how many columns stdout has; None in a pipe or file, where nothing is folded."""
        if not self.stdout.isatty():
            return None
        stated = self._environment.get("COLUMNS", "")
        if stated.isdigit() and int(stated) > 0:
            return int(stated)
        try:
            return os.get_terminal_size(self.stdout.fileno()).columns or None
        except (OSError, ValueError):
            return None

    @property
    def is_live(self) -> bool:
        """Tells whether lines may be drawn again: a terminal that can move its cursor."""
        return self.stdout.isatty() and self._environment.get("TERM", "") not in ("", "dumb", "unknown")

    @property
    def has_colour(self) -> bool:
        """Tells whether colour may be used. Source: https://no-color.org"""
        return not self._environment.get("NO_COLOR") and self.is_live

    def _painted(self, word: str, colour: str) -> str:
        may = self.has_colour and self.stderr.isatty()
        return f"\x1b[{colour}m{word}\x1b[0m" if may else word
