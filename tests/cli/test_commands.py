"""Every command's options do what they say; what they do is tested with the module of its name."""

import inspect

import pytest

from toe.cli import commands
from toe.cli.program import app

NAMES = [info.callback.__name__ for info in app.registered_commands if info.callback]


def test_the_commands_are_those_of_the_issues() -> None:
    """In the order in which people meet them."""
    assert NAMES == ["run", "plan", "lint", "tools", "get", "artifacts", "logs", "cancel", "rbac", "explain", "doctor"]


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_used(name: str) -> None:
    """An option that does nothing is a lie."""
    source = inspect.getsource(getattr(commands, name))
    body = source.partition('"""')[2]
    for option in list(inspect.signature(getattr(commands, name)).parameters)[1:]:
        assert option in body, option
