"""Data on stdout, talk on stderr, and nothing that a terminal would act upon."""

import io

import pytest

from toe.cli.screen import Screen


class Terminal(io.StringIO):
    """Is a stream that calls itself a terminal."""

    def isatty(self) -> bool:
        """Says so."""
        return True

    def fileno(self) -> int:
        """Has no descriptor of which a size could be asked."""
        raise io.UnsupportedOperation


def on_terminal(**environment: str) -> tuple[Screen, Terminal, Terminal]:
    """Is a screen whose both streams are terminals."""
    out, err = Terminal(), Terminal()
    return Screen(out, err, environment), out, err


def in_pipe(**environment: str) -> tuple[Screen, io.StringIO, io.StringIO]:
    """Is a screen whose both streams are pipes."""
    out, err = io.StringIO(), io.StringIO()
    return Screen(out, err, environment), out, err


def test_data_and_talk_have_their_own_streams() -> None:
    """A pipe gets the data and nothing else."""
    screen, out, err = in_pipe()
    screen.out("data")
    screen.lines(["more"])
    screen.error("wrong")
    screen.warn("odd")
    screen.hint("way out")
    screen.say("talk")
    assert out.getvalue() == "data\nmore\n"
    assert err.getvalue() == "error: wrong\nwarning: odd\n  way out\ntalk\n"


def test_no_line_carries_what_a_terminal_acts_upon() -> None:
    """Neither escapes nor a second line, on both streams."""
    screen, out, err = on_terminal(TERM="xterm", NO_COLOR="1")
    screen.out("a\x1b[2Jb\nc")
    screen.error("a\x1b]0;title\x07b")
    assert "\x1b" not in out.getvalue() + err.getvalue()
    assert out.getvalue().count("\n") == 1


def test_what_a_tool_printed_is_made_safe_on_a_terminal_only() -> None:
    """Into a file it goes byte for byte."""
    screen, out, _ = on_terminal(TERM="xterm")
    screen.bytes(b"\x1b[31mred\xff\n")
    assert "\x1b" not in out.getvalue()
    raw = io.BytesIO()
    pipe = Screen(io.TextIOWrapper(raw), io.StringIO(), {})
    pipe.out("before")
    pipe.bytes(b"\x1b[31mred\xff\n")
    assert raw.getvalue() == b"before\n\x1b[31mred\xff\n"


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({}, False)],
)
def test_colour_is_for_terminals_that_want_it(environment: dict[str, str], coloured: bool) -> None:
    """NO_COLOR and TERM=dumb are obeyed; the word stands there in any case."""
    screen, _, err = on_terminal(**environment)
    screen.error("wrong")
    assert ("\x1b[31m" in err.getvalue()) is coloured
    assert "error:" in err.getvalue()
    assert screen.has_colour is coloured


def test_a_pipe_has_no_width_and_no_life() -> None:
    """Nothing is folded or drawn again, whatever COLUMNS says."""
    screen, _, _ = in_pipe(COLUMNS="80", TERM="xterm")
    assert (screen.width, screen.is_live, screen.has_colour) == (None, False, False)


def test_a_terminal_is_as_wide_as_it_says() -> None:
    """COLUMNS first; None where nobody knows."""
    assert on_terminal(COLUMNS="80")[0].width == 80
    assert on_terminal(COLUMNS="wide")[0].width is None


def test_a_document_ends_with_a_newline() -> None:
    """One, not two."""
    screen, out, _ = in_pipe()
    screen.document("{}")
    screen.document("a: 1\n")
    assert out.getvalue() == "{}\na: 1\n"
