"""The board on which a run is followed: a table that is drawn again on a terminal, a line for each change elsewhere."""

from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from toe.api.powertool import PowerTool
from toe.cli.screen import Screen
from toe.report.run import ROW_HEADER, Row, rows, waits_for
from toe.report.text import columns, one_line

OVER = frozenset({"Succeeded", "Failed", "Refused", "Gone"})


LEAST = (0, 0, len("Succeeded"))
"""How wide the columns are at least: the state changes while the lines are printed."""


class Board(Protocol):
    """Is where a followed run is shown."""

    pace: float | None
    """Seconds after which it wants to be shown again although nothing happened; None for never."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, run: PowerTool, now: datetime) -> None:
        """Shows how the run stands."""

    def say(self, line: str) -> None:
        """Tells something beside the table."""

    def result(self, line: str) -> None:
        """Tells how it ended, after the board was left."""


def board_for(screen: Screen, *, to_stderr: bool) -> Board:
    """Returns the board that fits: ``to_stderr`` keeps stdout for JSON or YAML."""
    return LiveBoard(screen) if screen.is_live and not to_stderr else LineBoard(screen, to_stderr=to_stderr)


class LineBoard:
    """Prints one line for each change of a target or of what the run waits for."""

    pace: float | None = 1.0

    def __init__(self, screen: Screen, *, to_stderr: bool = False) -> None:
        self._screen = screen
        self._print: Callable[[str], None] = screen.say if to_stderr else screen.out
        self._seen: dict[tuple[str, str], Row] = {}
        self._waiting = ""

    def __enter__(self) -> Self:
        """Needs no preparation."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves everything as it was printed."""

    def show(self, run: PowerTool, now: datetime) -> None:
        """Prints what is new."""
        if (waiting := waits_for(run)) != self._waiting:
            self._waiting = waiting
            if waiting:
                self._print(f"{run.status.phase or 'Pending'}: {waiting}")
        found = rows(run, None)
        table = columns(ROW_HEADER, [row.cells for row in found], least=LEAST)
        if found and not self._seen:
            self._print(table[0])
        for row, line in zip(found, table[1:], strict=True):
            if self._seen.get((row.pod, row.container)) != row:
                self._seen[row.pod, row.container] = row
                self._print(line)
        self._screen.flush()

    def say(self, line: str) -> None:
        """Tells it on stderr."""
        self._screen.say(line)

    def result(self, line: str) -> None:
        """Prints it below the lines."""
        self._print(line)
        self._screen.flush()


class LiveBoard:
    """Draws the table again four times a second."""

    pace: float | None = 0.25

    def __init__(self, screen: Screen) -> None:
        from rich.console import Console
        from rich.live import Live

        self._screen = screen
        self._console = Console(
            file=screen.stdout,
            highlight=False,
            markup=False,
            emoji=False,
            no_color=not screen.has_colour,
            force_terminal=True,
            width=screen.width,
        )
        self._live: Live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> Self:
        """Begins to draw."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the last table on the screen."""
        self._live.stop()

    def show(self, run: PowerTool, now: datetime) -> None:
        """Draws the table, or what the run waits for."""
        from rich.text import Text

        width = self._console.width
        if waiting := waits_for(run):
            lines = columns((f"{run.status.phase or 'Pending'}:", waiting), [], width)
        elif not run.status.targets:
            lines = ["Pending: waiting for the controller"]
        else:
            lines = self._table(run, now, width)
        text = Text("\n".join(lines), no_wrap=True, overflow="crop")
        text.highlight_regex(r"(?m)(?<=  )(Failed|Refused|Gone)(?=  |$)", "red")
        text.highlight_regex(r"(?m)(?<=  )Succeeded(?=  |$)", "green")
        self._live.update(text, refresh=True)

    def say(self, line: str) -> None:
        """Prints it above the table."""
        self._console.print(one_line(line))

    def result(self, line: str) -> None:
        """Prints it below the last table."""
        self._screen.out(line)
        self._screen.flush()

    def _table(self, run: PowerTool, now: datetime, width: int) -> list[str]:
        """Returns what fits on the screen: while it runs, those that are not over come first."""
        found = rows(run, now)
        lines = columns(ROW_HEADER, [row.cells for row in found], width, least=LEAST)
        room = self._console.height - 3
        if run.status.is_finished or len(lines) <= room:
            return lines
        open_first = sorted(found, key=lambda row: row.state in OVER)
        lines = columns(ROW_HEADER, [row.cells for row in open_first], width, least=LEAST)[: max(room - 1, 2)]
        over = sum(row.state in OVER for row in found)
        return [*lines, f"... {len(found)} targets in all, {over} of them ended"]
