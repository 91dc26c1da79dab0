"""How far a download is: a bar on a terminal, nothing elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from toe.api.quantity import format_bytes
from toe.cli.screen import Screen
from toe.report.text import one_line


class Meter(Protocol):
    """Is told what came."""

    def begin(self, name: str, size: int, there: int) -> None:
        """Begins with a file of which some is there already."""

    def came(self, count: int) -> None:
        """Takes in that so many bytes more are there; fewer than none when they were thrown away."""


class Silent:
    """Shows nothing: in a pipe the table at the end is enough."""

    def begin(self, name: str, size: int, there: int) -> None:
        """Shows nothing."""

    def came(self, count: int) -> None:
        """Shows nothing."""


@contextmanager
def meter_for(screen: Screen) -> Iterator[Meter]:
    """Is the meter that fits the screen; it leaves no trace."""
    if not screen.is_live:
        yield Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
    from rich.text import Text

    class Pace(ProgressColumn):
        """Shows how much comes in a second, in the units of every other table."""

        def render(self, task: Task) -> Text:
            """Returns it; nothing before it is known."""
            return Text(f"{format_bytes(int(task.speed))}/s" if task.speed else "")

    console = Console(file=screen.stdout, no_color=not screen.has_colour, force_terminal=True, width=screen.width)
    named = TextColumn("{task.description}", markup=False)
    size = DownloadColumn(binary_units=True)
    with Progress(named, BarColumn(), size, Pace(), console=console, transient=True) as bars:

        class Bar:
            """Draws one bar for the file that is coming."""

            task: TaskID | None = None

            def begin(self, name: str, size: int, there: int) -> None:
                """Draws a new bar in place of the last one."""
                if self.task is not None:
                    bars.remove_task(self.task)
                self.task = bars.add_task(one_line(name), total=size, completed=there)

            def came(self, count: int) -> None:
                """Moves it."""
                if self.task is not None:
                    bars.advance(self.task, count)

        yield Bar()
