"""One call of a command: what is around it, and the flags by which kubectl finds a cluster."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from toe.api.surroundings import Surroundings
from toe.cli.screen import Screen

_KEYWORD = inspect.Parameter.KEYWORD_ONLY


@dataclass(frozen=True, slots=True)
class Flags:
    """Is the cluster flags, named and meant as kubectl's."""

    namespace: str | None = None
    context: str | None = None
    kubeconfig: Path | None = None
    cluster: str | None = None
    user: str | None = None
    server: str | None = None
    token: str | None = None
    as_user: str | None = None
    as_group: tuple[str, ...] = ()
    as_uid: str | None = None
    certificate_authority: Path | None = None
    insecure_skip_tls_verify: bool = False
    tls_server_name: str | None = None
    request_timeout: str | None = None
    system_namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """Is one call: its surroundings, the clock, the screen, the cluster flags and the tool's words."""

    around: Surroundings
    now: Callable[[], datetime]
    screen: Screen
    flags: Flags = Flags()
    arguments: tuple[str, ...] = ()
    """What follows ``--``: the tool's own words."""

    @property
    def program(self) -> str:
        """Is what a person types: ``kubectl toe`` or ``toe``."""
        return "kubectl toe" if self.around.is_plugin else "toe"


class _Option(NamedTuple):
    """Is one cluster flag: its field of Flags, its type, its names, and whether each command's help shows it."""

    field: str
    type: Any
    names: str
    metavar: str
    help: str
    common: bool = False


_OPTIONS = (
    _Option("namespace", str | None, "--namespace -n", "NAMESPACE", "Default: the context's.", True),
    _Option("context", str | None, "--context", "NAME", "Context of the kubeconfig.", True),
    _Option("kubeconfig", Path | None, "--kubeconfig", "FILE", "Default: $KUBECONFIG, ~/.kube/config.", True),
    _Option("cluster", str | None, "--cluster", "NAME", "Cluster of the kubeconfig."),
    _Option("user", str | None, "--user", "NAME", "User of the kubeconfig."),
    _Option("server", str | None, "--server -s", "URL", "Address of the API server."),
    _Option("token", str | None, "--token", "TOKEN", "Bearer token."),
    _Option("as_user", str | None, "--as", "USER", "Act as this user."),
    _Option("as_group", list[str] | None, "--as-group", "GROUP", "Act as in this group; may be repeated."),
    _Option("as_uid", str | None, "--as-uid", "UID", "Act as this UID."),
    _Option("certificate_authority", Path | None, "--certificate-authority", "FILE", "Who signed the certificate."),
    _Option("insecure_skip_tls_verify", bool, "--insecure-skip-tls-verify", "", "Do not check the certificate."),
    _Option("tls_server_name", str | None, "--tls-server-name", "NAME", "Name the certificate must be for."),
    _Option("request_timeout", str | None, "--request-timeout", "DURATION", "For one request. Default: 30s."),
    _Option("system_namespace", str | None, "--system-namespace", "NAMESPACE", "Default: toe-system."),
)
WORDS_OF_FLAG = {name: 1 if flag.type is bool else 2 for flag in _OPTIONS for name in flag.names.split()}
"""How many words each cluster flag takes."""
_FIELDS = tuple(option.field for option in _OPTIONS)


def takes_flags(command: Callable[..., int], *, show_all: bool = False) -> Callable[..., int]:
    """Gives a command the cluster flags: it is handed a :class:`Call` in which they are merged.

    Help shows the three flags that people use, or with ``show_all`` every one. An option of the command's own takes the
    place of a cluster flag of its name.
    """
    own = [parameter.replace(kind=_KEYWORD) for parameter in inspect.signature(command).parameters.values()][1:]
    taken = {parameter.name for parameter in own}

    @functools.wraps(command)
    def called(typer_context: typer.Context, **words: Any) -> int:
        call: Call = typer_context.obj
        given = {name: words.pop(name) for name in _FIELDS if name not in taken}
        return command(replace(call, flags=given_flags(given)), **words)

    del called.__wrapped__
    parameters = [
        inspect.Parameter("typer_context", _KEYWORD, annotation=typer.Context),
        *own,
        *(flag for flag in _flag_parameters(show_all) if flag.name not in taken),
    ]
    called.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return called


def given_flags(given: dict[str, Any]) -> Flags:
    """Returns the flags that were really given."""
    stated = {name: value for name, value in given.items() if value}
    if "as_group" in stated:
        stated["as_group"] = tuple(stated["as_group"])
    return Flags(**stated)


def _flag_parameters(show_all: bool) -> list[inspect.Parameter]:
    found = []
    for flag in _OPTIONS:
        hidden = not (show_all or flag.common)
        option = typer.Option(*flag.names.split(), metavar=flag.metavar or None, help=flag.help, hidden=hidden)
        default = False if flag.type is bool else None
        annotation = Annotated[flag.type, option]  # type: ignore[name-defined]  # made at run time
        found.append(inspect.Parameter(flag.field, _KEYWORD, annotation=annotation, default=default))
    return found
