"""The command line: every command with its options, and what a person is told when something goes wrong.

Exit status: 0 all went well, 1 it failed, 2 refused or wrong usage, 3 a part failed, 130 cancelled.
"""

import importlib.metadata
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperCommand, TyperGroup

from toe.cli.call import Call, takes_flags
from toe.cli.screen import Screen
from toe.errors import ToeError

if TYPE_CHECKING:
    from toe.main import Surroundings

FAILED, REFUSED, CANCELED = 1, 2, 130
_SWITCHES = {"--wait": "--no-wait", "--pending": "", "--follow": "", "--force": "", "--insecure-skip-tls-verify": ""}


class Program(TyperGroup):
    """Lists the commands in the order in which people meet them."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Returns the commands as they were declared."""
        return list(self.commands)


class ToolCommand(TyperCommand):
    """Takes everything after ``--`` as the tool's own arguments."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Keeps what is after ``--`` for the command, so that a word before it is never taken for an argument."""
        if "--" in args:
            cut = args.index("--")
            ctx.obj = replace(ctx.obj, arguments=tuple(args[cut + 1 :]))
            args = args[:cut]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Shows where the tool's arguments go."""
        return [*super().collect_usage_pieces(ctx), "[-- ARGS...]"]


app = typer.Typer(
    cls=Program,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def run(arguments: Sequence[str], around: "Surroundings", now: Callable[[], datetime]) -> int:
    """Runs one command line and returns its exit status."""
    from toe.cli import commands  # noqa: F401 declares the commands

    screen = Screen(sys.stdout, sys.stderr, around.environment)
    call = Call(around, now, screen)
    try:
        status = typer.main.get_command(app).main(
            args=spelled(arguments), prog_name=call.program, standalone_mode=False, obj=call
        )
        screen.flush()
    except ToeError as error:
        from toe.cli.sentences import ComplaintError, explain

        complaint = explain(error) if not isinstance(error, ComplaintError) else error
        return complaint.tell(screen)
    except BrokenPipeError:  # `kubectl toe tools | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, typer.Abort):
        screen.say()
        return CANCELED
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return _wrong_usage(screen, call, error)
    return status if isinstance(status, int) else 0


def _wrong_usage(screen: Screen, call: Call, error: Exception) -> int:
    """Tells one line and the way out; typer's usage errors carry the command they happened in."""
    context = getattr(error, "ctx", None)
    message = error.format_message()  # type: ignore[attr-defined]
    screen.error(message[:1].lower() + message[1:].rstrip("."))
    screen.hint(f"see {context.command_path if context else call.program} --help")
    return REFUSED


def spelled(arguments: Sequence[str]) -> list[str]:
    """Turns kubectl's ``--wait=false`` into the switch it means; what follows ``--`` is the tool's."""
    found: list[str] = []
    for index, word in enumerate(arguments):
        if word == "--":
            return [*found, *arguments[index:]]
        name, _, value = word.partition("=")
        if name in _SWITCHES and value in ("true", "false"):
            word = name if value == "true" else _SWITCHES[name]
        found += [word] if word else []
    return found


def _version(value: bool) -> None:
    if value:
        print(f"toe {importlib.metadata.version('toe')}")
        raise typer.Exit()


def _root(
    call: Call,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> int:
    """Run power tools in running pods, with exactly the security an administrator wrote down."""
    return 0


app.callback()(takes_flags(_root, show_all=True))
