"""What the kubelet asks."""

import socket

import aiohttp

from toe.controller.probes import serve_probes


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def test_alive_at_once_and_ready_when_the_watches_are() -> None:
    """A process that does not follow the cluster is alive and not ready."""
    ready = [False]
    port = _free_port()
    runner = await serve_probes(port, lambda: ready[0])
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            assert await _status(session, "/healthz") == 200
            assert await _status(session, "/readyz") == 503
            ready[0] = True
            assert await _status(session, "/readyz") == 200
            assert await _status(session, "/metrics") == 404
    finally:
        await runner.cleanup()


async def _status(session: aiohttp.ClientSession, path: str) -> int:
    async with session.get(path) as answer:
        return answer.status
