"""The composition root: reads arguments, environment and clock once, and opens one door.

``toe controller``, ``toe webhook``, ``toe collector`` and ``toe apiserver`` are the operator's; every other word is a
person's and goes to :mod:`toe.cli`. ``kubectl toe`` is the same program under the name kubectl looks for.
"""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from toe.api.surroundings import Surroundings


def now() -> datetime:
    """Returns the wall clock's time in UTC: the one place that reads it."""
    return datetime.now(UTC)  # noqa: TID251 this is the clock


def surroundings(*, is_plugin: bool = False) -> Surroundings:
    """Reads the environment: the one place that does."""
    return Surroundings(environment=dict(os.environ), home=str(Path.home()), is_plugin=is_plugin)  # noqa: TID251


def main() -> NoReturn:
    """Runs ``toe``."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["controller"]:
        from toe.controller.program import run as run_controller

        raise SystemExit(run_controller(arguments[1:], surroundings(), now))
    if arguments[:1] == ["webhook"]:
        from toe.webhook.program import run as run_webhook

        raise SystemExit(run_webhook(arguments[1:], surroundings(), now))
    if arguments[:1] == ["apiserver"]:
        from toe.collector.apiserver import run as run_apiserver

        raise SystemExit(run_apiserver(arguments[1:], surroundings(), now))
    if arguments[:1] == ["collector"]:
        from toe.collector.program import run as run_collector

        raise SystemExit(run_collector(arguments[1:], surroundings(), now))
    _person(arguments, surroundings())


def kubectl_plugin() -> NoReturn:
    """Runs ``kubectl toe``."""
    _person(sys.argv[1:], surroundings(is_plugin=True))


def _person(arguments: list[str], around: Surroundings) -> NoReturn:
    from toe.cli.program import run

    raise SystemExit(run(arguments, around, now))


if __name__ == "__main__":
    main()
