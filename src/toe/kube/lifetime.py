"""How every program of ours lives: it works until a part of it fails, or until it is told to stop."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def stoppable() -> AsyncIterator[asyncio.Event]:
    """Yields what is set when the process is told to stop: SIGTERM, SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


async def live(
    name: str,
    stop: asyncio.Event,
    *parts: Coroutine[Any, Any, object],
    beside: tuple[Coroutine[Any, Any, object], ...] = (),
    last: Callable[[], Awaitable[object]] | None = None,
) -> int:
    """Runs ``parts`` until one of them ends or ``stop`` is set; returns the exit status.

    ``beside`` may end whenever it likes. ``last`` is what is done before the parts are cut off, when all of them are
    well. Every task has ended when this returns.
    """
    work = [asyncio.create_task(part) for part in parts]
    others = [asyncio.create_task(part) for part in beside]
    told = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((*work, told), return_when=asyncio.FIRST_COMPLETED)
        failed = next((task for task in work if task.done()), None)
        if failed is None and last is not None:
            await last()
    finally:
        for task in (*work, *others, told):
            task.cancel()
        await asyncio.gather(*work, *others, told, return_exceptions=True)
    if failed is not None:
        why = failed.exception()
        _log.error(f"{name} failed", error=repr(why) if why is not None else "a part of it ended")
        return 1
    _log.info(f"{name} stopped")
    return 0
