"""The command line: every command with its options, and what a person is told when something goes wrong.

Exit status: 0 all went well, 1 it failed, 2 refused or wrong usage, 3 a part failed, 130 cancelled.
"""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated

import typer
from typer.core import TyperCommand, TyperGroup

from toe import __version__
from toe.api.surroundings import Surroundings
from toe.cli.call import WORDS_OF_FLAG, Call, takes_flags
from toe.cli.screen import Screen
from toe.errors import ToeError

REFUSED, CANCELED = 2, 130
COMPLETION = ("--show-completion", "--install-completion")
_EXECUTABLE, _COMPLETE = "kubectl-toe", "_KUBECTL_TOE_COMPLETE"
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


SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
app = typer.Typer(
    cls=Program,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=SETTINGS,
)


def run(arguments: Sequence[str], around: Surroundings, now: Callable[[], datetime]) -> int:
    """Runs one command line and returns its exit status."""
    screen = Screen(sys.stdout, sys.stderr, around.environment)
    call = Call(around, now, screen)
    try:
        status = _run(call, spelled(arguments))
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
        return _wrong_usage(call, error, spelled(arguments))
    return status if isinstance(status, int) else 0


def _run(call: Call, words: Sequence[str]) -> object:
    """Hands the words to the command they begin with, else to the program itself (help, version, completion)."""
    from toe.cli import commands  # noqa: F401 declares the commands

    words = words or ["--help"]
    program = typer.main.get_command(app)
    assert isinstance(program, TyperGroup)
    if (chosen := program.commands.get(words[0])) is not None:
        return chosen.main(words[1:], f"{call.program} {words[0]}", standalone_mode=False, obj=call)
    completes = any(word.partition("=")[0] in COMPLETION for word in words) or _COMPLETE in call.around.environment
    name = _EXECUTABLE if completes else call.program
    return program.main(words, name, _COMPLETE, standalone_mode=False, obj=call)


def _wrong_usage(call: Call, error: Exception, words: Sequence[str]) -> int:
    """Tells one line and the way out; typer's usage errors carry the command they happened in."""
    screen, context = call.screen, getattr(error, "ctx", None)
    message, _, near = error.format_message().partition(" Did you mean ")  # type: ignore[attr-defined]
    message = message.replace("Value error, ", "").rstrip(".")
    screen.error(message[:1].lower() + message[1:])
    if near:
        screen.hint(f"did you mean {near}")
    if "extra argument" in message and context is not None and isinstance(context.command, ToolCommand):
        screen.hint("pods are chosen with -l; the tool's own arguments come after --")
    command = f"{call.program} {words[0]}" if words and not words[0].startswith("-") else call.program
    screen.hint(f"see {context.command_path if context else command} --help")
    return REFUSED


def spelled(arguments: Sequence[str]) -> list[str]:
    """Returns the words as typer takes them; what follows ``--`` is the tool's and stays as it is.

    kubectl's ``--wait=false`` becomes the switch it means, and cluster flags before the command go behind it.
    """
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    own, rest = list(arguments[:cut]), list(arguments[cut:])
    own = [spelling for word in own if (spelling := _switch(word))]
    leading = 0
    while leading < len(own) and (takes := WORDS_OF_FLAG.get(own[leading].partition("=")[0])) is not None:
        leading += 1 if "=" in own[leading] else takes
    if leading < len(own) and not own[leading].startswith("-"):
        own = [own[leading], *own[:leading], *own[leading + 1 :]]
    return own + rest


def _switch(word: str) -> str:
    name, _, value = word.partition("=")
    if name not in _SWITCHES or value not in ("true", "false"):
        return word
    return name if value == "true" else _SWITCHES[name]


def _version(value: bool) -> None:
    if value:
        print(f"toe {__version__}")
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
