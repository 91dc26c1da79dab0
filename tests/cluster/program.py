"""The controller as a real process, and what the API server's audit log says that it asked for."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from tests.cluster.rest import GROUP


class Program:
    """One ``toe controller``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ready = asyncio.Event()
        self.log: list[dict[str, Any]] = []
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, kubeconfig: Path, *flags: str, wait: bool = True) -> Self:
        """Starts it; returns when its caches are filled, or at once."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "toe.main", "controller", "--kubeconfig", str(kubeconfig), *flags),
            stderr=asyncio.subprocess.PIPE,
        )
        program = cls(process)
        if wait:
            await program.ready()
        return program

    async def ready(self, seconds: float = 30.0) -> None:
        """Waits until its caches are filled; fails with its log when it ends before."""
        ended = asyncio.create_task(self._process.wait())
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait((ended, ready), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in (ended, ready):
            task.cancel()
        assert self._ready.is_set(), self.log

    @property
    def is_alive(self) -> bool:
        """Tells whether the process runs."""
        return self._process.returncode is None

    async def ended(self) -> int:
        """Waits for its end, and returns its exit status."""
        return await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal and does not wait."""
        os.kill(self._process.pid, number)

    def shoot(self) -> None:
        """Sends SIGKILL and does not wait."""
        if self.is_alive:
            os.kill(self._process.pid, signal.SIGKILL)

    async def kill(self) -> None:
        """Ends it as a crash does."""
        self.shoot()
        await self._process.wait()
        await self._reader

    async def stop(self) -> int:
        """Ends it as Kubernetes does, and returns its exit status."""
        if self.is_alive:
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(15):
                await self._process.wait()
        except TimeoutError:
            await self.kill()
        await self._reader
        return self._process.returncode or 0

    def complaints(self) -> list[dict[str, Any]]:
        """Lists what it logged as an error: an exception that nobody expected."""
        return [line for line in self.log if line.get("level") == "error"]

    async def _read(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            try:
                entry = json.loads(line)
            except ValueError:
                entry = {"event": line.decode(errors="replace").rstrip(), "level": "error"}
            self.log.append(entry)
            if entry.get("event") == "caches synced":
                self._ready.set()


@asynccontextmanager
async def running(kubeconfig: Path, *flags: str) -> AsyncIterator[Program]:
    """Is a controller that runs inside of the block, and had nothing to complain of when it ends."""
    program = await Program.start(kubeconfig, *flags)
    try:
        yield program
    finally:
        status = await program.stop()
    assert not program.complaints()
    assert status == 0


class Audit:
    """Reads what the controllers asked the API server for since this object was made."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._from = log.stat().st_size if log.exists() else 0

    def requests(self) -> Iterator[dict[str, Any]]:
        """Yields the answered requests of controllers."""
        with self._log.open("rb") as file:
            file.seek(self._from)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                entry = json.loads(line)
                if entry.get("userAgent", "").startswith("toe/") and entry["stage"] != "ResponseStarted":
                    yield entry

    def writes(self) -> list[str]:
        """Lists the writes other than events and access reviews, as ``verb path status``."""
        return [
            f"{entry['verb']} {entry['requestURI'].partition('?')[0]} {entry['responseStatus']['code']}"
            for entry in self.requests()
            if entry["verb"] not in ("get", "list", "watch")
            and entry["objectRef"]["resource"] not in ("events", "subjectaccessreviews", "selfsubjectaccessreviews")
        ]

    def verbs(self) -> set[str]:
        """Is every verb that was used."""
        return {entry["verb"] for entry in self.requests()}

    def status_writes(self, namespace: str, run: str) -> int:
        """Counts the accepted writes of one run's status."""
        path = f"/apis/{GROUP}/namespaces/{namespace}/powertools/{run}/status"
        return sum(write == f"patch {path} 200" for write in self.writes())
