"""The composition root: reads arguments, environment and clock once, and opens one door.

``toe controller`` runs the operator; every other word is a person's and goes to :mod:`toe.cli`. ``kubectl toe`` is the
same program under the name kubectl looks for.
"""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from toe.api.meta import Struct


class Surroundings(Struct, frozen=True):
    """Is what the program finds around it, read once."""

    environment: dict[str, str]
    home: Path
    is_plugin: bool = False
    """Whether people call it as ``kubectl toe``: what usage texts show."""

    @property
    def kubeconfig(self) -> tuple[Path, ...]:
        """Is the files that kubectl would merge: ``$KUBECONFIG``, else ``~/.kube/config``."""
        listed = [Path(part) for part in self.environment.get("KUBECONFIG", "").split(os.pathsep) if part]
        return tuple(listed) or (self.home / ".kube" / "config",)


def now() -> datetime:
    """Returns the wall clock's time in UTC: the one place that reads it."""
    return datetime.now(UTC)  # noqa: TID251 this is the clock


def surroundings(*, is_plugin: bool = False) -> Surroundings:
    """Reads the environment: the one place that does."""
    return Surroundings(environment=dict(os.environ), home=Path.home(), is_plugin=is_plugin)  # noqa: TID251


def main() -> NoReturn:
    """Runs ``toe``."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["controller"]:
        from toe.controller.program import run as run_controller

        raise SystemExit(run_controller(arguments[1:], surroundings(), now))
    _person(arguments, surroundings())


def kubectl_plugin() -> NoReturn:
    """Runs ``kubectl toe``."""
    _person(sys.argv[1:], surroundings(is_plugin=True))


def _person(arguments: list[str], around: Surroundings) -> NoReturn:
    from toe.cli.program import run

    raise SystemExit(run(arguments, around, now))


if __name__ == "__main__":
    main()
