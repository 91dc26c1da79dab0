"""A bar on a terminal, nothing elsewhere."""

import io

from toe.cli.meter import Silent, meter_for
from toe.cli.screen import Screen


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_how_far_it_is() -> None:
    """The name made safe, one bar at a time."""
    out = Terminal()
    with meter_for(Screen(out, io.StringIO(), {"TERM": "xterm", "COLUMNS": "100"})) as meter:
        meter.begin("shop-1/a\x1b[2J[red]", 1000, 500)
        meter.came(500)
        meter.begin("shop-1/b", 10, 0)
    assert "shop-1/a\ufffd[2J[red]" in out.getvalue()
    assert "shop-1/b" in out.getvalue()
    assert "0/10 bytes" in out.getvalue()


def test_a_pipe_shows_nothing() -> None:
    """Its reader wants the table at the end."""
    out = io.StringIO()
    with meter_for(Screen(out, out, {})) as meter:
        assert isinstance(meter, Silent)
        meter.begin("a", 1, 0)
        meter.came(1)
    assert out.getvalue() == ""
