"""The pages of what is typed: ``kubectl toe`` from its commands, the four programs from their parsers."""

import argparse
from collections.abc import Iterator
from enum import EnumType
from inspect import cleandoc
from typing import Any

import typer
from typer.core import TyperGroup

from docs.cells import cell, code, codes, table
from toe.cli import commands  # noqa: F401 declares the commands
from toe.cli.program import ToolCommand, app
from toe.collector.apiserver import flags as apiserver
from toe.collector.program import flags as collector
from toe.controller.program import flags as controller
from toe.webhook.program import flags as webhook

PARSERS = {"controller": controller, "webhook": webhook, "collector": collector, "apiserver": apiserver}
_OF_ALL = {"help", "namespace", "context", "kubeconfig"}
_COMPLETION = {"install_completion", "show_completion"}


def pages() -> dict[str, str]:
    """Returns both pages by their file name."""
    return {"commands.md": _commands(), "flags.md": _flags()}


def group() -> TyperGroup:
    """Returns the program with every command, as typer parses it."""
    made = typer.main.get_command(app)
    assert isinstance(made, TyperGroup)
    return made


def _commands() -> str:
    root = group()
    parts = [
        "# kubectl toe\n\n",
        "`toe` without kubectl is the same program. What follows `--` is the tool's own.\n\n",
        table(("command", "does"), ((f"[`{name}`](#{name})", cell(_about(c)[0])) for name, c in root.commands.items())),
        "\n## Every command\n\nalso takes the flags by which kubectl finds a cluster:\n\n",
        table(("flag", "meaning"), _options(root, _COMPLETION)),
    ]
    for name, made in root.commands.items():
        summary, *more = _about(made)
        usage = [*(_named(p) for p in made.params if p.param_type_name == "argument"), "[OPTIONS]"]
        usage += ["[-- ARGS...]"] if isinstance(made, ToolCommand) else []
        parts += [f"\n## {name}\n\n    kubectl toe {name} {' '.join(usage)}\n\n{summary}\n"]
        parts += [f"\n{paragraph}\n" for paragraph in more]
        if own := list(_options(made, _OF_ALL)):
            parts += ["\n", table(("argument or option", "meaning"), own)]
    return "".join(parts)


def _about(made: Any) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in cleandoc(made.help).split("\n\n")]


def _options(made: Any, leave_out: set[str]) -> Iterator[tuple[str, str]]:
    for parameter in made.params:
        if parameter.name in leave_out or parameter.hidden:
            continue
        if parameter.param_type_name == "argument":
            yield code(_named(parameter)), cell(parameter.help)
            continue
        names = codes([*parameter.opts, *parameter.secondary_opts])
        yield f"{names} {code(_value(parameter))}".rstrip(), cell(parameter.help) + _remark(parameter)


def _named(parameter: Any) -> str:
    name: str = parameter.metavar
    return name if parameter.required or name.startswith("[") else f"[{name}]"


def _value(parameter: Any) -> str:
    if parameter.is_flag:
        return ""
    accepted = parameter.type_descriptor.annotation
    return parameter.metavar or (" or ".join(accepted) if isinstance(accepted, EnumType) else "VALUE")


def _remark(parameter: Any) -> str:
    if parameter.required:
        return " Required."
    default = getattr(parameter.default, "value", parameter.default)
    return f" Default: {default}." if isinstance(default, str) else ""


def _flags() -> str:
    parts = [
        "# Flags of the four programs\n\n",
        "The chart sets them from [its values](values.md). Whoever runs a program by hand sets them himself.\n",
    ]
    for made in PARSERS.values():
        parser = made()
        parts.append(f"\n## {parser.prog}\n\n{parser.description}\n\n")
        rows = ((_flag(action), _default(action), _meaning(action)) for action in actions(parser))
        parts.append(table(("flag", "default", "meaning"), rows))
    return "".join(parts)


def actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Returns what a parser takes, but for ``--help``."""
    return [action for action in parser._actions if action.dest != "help"]


def _flag(action: argparse.Action) -> str:
    name = code(action.option_strings[-1])
    if action.nargs == 0:
        return name
    if action.choices:
        return f"{name} {code(' or '.join(action.choices))}"
    return f"{name} {code(str(action.metavar or ('NUMBER' if action.type is int else 'VALUE')))}"


def _default(action: argparse.Action) -> str:
    if action.required:
        return "required"
    return "" if action.default in (None, False) else code(str(action.default))


def _meaning(action: argparse.Action) -> str:
    """Is what the help says; the default has a column of its own."""
    said = (action.help or "").replace("(%(default)s)", "").strip()
    return cell(said.removesuffix(f"; default: {action.default}"))
