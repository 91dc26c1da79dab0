"""A followed run is a table on a terminal and a line for each change elsewhere."""

import io
from typing import Any

import pytest

from tests.builders import a_powertool, at, when
from tests.cli.scene import a_target
from tests.cli.test_screen import Terminal
from toe.api.powertool import PowerTool
from toe.cli.following import LineBoard, LiveBoard, board_for
from toe.cli.screen import Screen


def with_targets(*targets: dict[str, Any], **status: Any) -> PowerTool:
    """Is a run with these targets."""
    return a_powertool(status={"phase": "Running", "targets": list(targets), **status})


RUNNING = with_targets(a_target("a", state="Running", startedAt=when(0)), a_target("b", state="Injected"))
HALF = with_targets(a_target("a"), a_target("b", state="Injected"))
WAITING = a_powertool(
    status={
        "phase": "Conflicted",
        "conditions": [
            {"type": "Accepted", "status": "False", "reason": "ConflictDetected", "message": "taken\x1b[2J"}
        ],
    }
)


def test_a_pipe_gets_one_line_for_each_change() -> None:
    """Nothing is repeated, and seconds alone are no change."""
    out = io.StringIO()
    with LineBoard(Screen(out, io.StringIO(), {})) as board:
        for run, second in ((WAITING, 0), (WAITING, 1), (RUNNING, 2), (RUNNING, 3), (HALF, 4)):
            board.show(run, at(second))
        board.result("Completed")
    assert out.getvalue().splitlines() == [
        "Conflicted: taken\N{REPLACEMENT CHARACTER}[2J",
        "POD  CONTAINER  STATE      DETAIL",
        "a    app        Running    for 30 s",
        "b    app        Injected   starting",
        "a    app        Succeeded  exit 0",
        "Completed",
    ]


def test_stdout_is_kept_for_documents() -> None:
    """With -o json the lines are talk."""
    out, err = io.StringIO(), io.StringIO()
    board = board_for(Screen(out, err, {"TERM": "xterm"}), to_stderr=True)
    board.show(RUNNING, at(1))
    board.say("hello")
    board.result("over")
    assert out.getvalue() == ""
    assert err.getvalue().endswith("hello\nover\n")


@pytest.mark.parametrize(
    ("environment", "is_live"), [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({}, False)]
)
def test_only_a_terminal_that_can_is_drawn_on(environment: dict[str, str], is_live: bool) -> None:
    """A dumb one gets lines."""
    board = board_for(Screen(Terminal(), io.StringIO(), environment), to_stderr=False)
    assert isinstance(board, LiveBoard) is is_live


def drawn(run: PowerTool, second: float, **environment: str) -> str:
    """Is what a terminal got for one state of a run."""
    out = Terminal()
    with LiveBoard(Screen(out, io.StringIO(), {"TERM": "xterm", "COLUMNS": "80", **environment})) as board:
        board.show(run, at(second))
        board.say("beside\x1b[2J")
    return out.getvalue()


def test_a_terminal_sees_how_far_each_target_is() -> None:
    """Seconds count there, and what is told beside the table is safe."""
    text = drawn(RUNNING, 6)
    assert "a    app        Running    6 s of 30 s" in text
    assert "beside\N{REPLACEMENT CHARACTER}[2J" in text


def test_colour_is_left_out_where_it_is_not_wanted() -> None:
    """The words are the same."""
    assert "\x1b[32mSucceeded" in drawn(HALF, 1)
    assert "Succeeded" in drawn(HALF, 1, NO_COLOR="1")
    assert "\x1b[32m" not in drawn(HALF, 1, NO_COLOR="1")


def test_a_terminal_sees_what_is_waited_for() -> None:
    """Before there is a table."""
    assert "Conflicted:  taken\N{REPLACEMENT CHARACTER}[2J" in drawn(WAITING, 0)
    assert "waiting for the controller" in drawn(a_powertool(), 0)


def test_more_targets_than_lines_are_counted() -> None:
    """Those that are not over come first."""
    ended = [a_target(f"done-{n}") for n in range(60)]
    text = drawn(with_targets(*ended, a_target("busy", state="Running")), 1)
    assert "busy" in text
    assert "... 61 targets in all, 60 of them ended" in text
