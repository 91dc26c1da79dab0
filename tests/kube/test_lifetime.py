"""A program ends when it is told to, or when a part of it does; nothing of it goes on."""

import asyncio
import os
import signal

import pytest

from toe.kube.lifetime import live, stoppable


async def _ends(after: float, error: Exception | None = None) -> None:
    await asyncio.sleep(after)
    if error is not None:
        raise error


async def test_told_to_stop_it_ends_well_and_does_what_comes_last_first() -> None:
    """While its parts are still there."""
    done: list[str] = []

    async def part() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            done.append("cut off")

    async def last() -> None:
        done.append("last")

    async with stoppable() as stop:
        asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
        assert await live("it", stop, part(), last=last) == 0
    assert done == ["last", "cut off"]


@pytest.mark.parametrize("error", [ValueError("x"), None])
async def test_a_part_that_ends_is_a_failure(error: Exception | None) -> None:
    """With an error or without; what comes last is for those who are well."""
    done: list[str] = []

    async def last() -> None:
        done.append("last")

    assert await live("it", asyncio.Event(), _ends(0.01, error), asyncio.Event().wait(), last=last) == 1
    assert done == []


async def test_what_is_beside_may_end() -> None:
    """And is cut off with the rest."""
    stop, before = asyncio.Event(), asyncio.all_tasks()
    asyncio.get_running_loop().call_later(0.1, stop.set)
    assert await live("it", stop, asyncio.Event().wait(), beside=(_ends(0.01), _ends(10))) == 0
    assert asyncio.all_tasks() <= before
