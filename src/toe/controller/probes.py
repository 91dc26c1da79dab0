"""What the kubelet asks: whether the process lives, and whether it follows the cluster. Neither answer holds data."""

from collections.abc import Callable

from aiohttp import web


async def serve_probes(port: int, is_ready: Callable[[], bool]) -> web.AppRunner:
    """Serves ``/healthz`` and ``/readyz`` on all addresses; the caller cleans the returned runner up.

    Raises OSError when the port is taken.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        if is_ready():
            return web.Response(text="ok\n")
        return web.Response(status=503, text="the watches are not live\n")

    application = web.Application()
    application.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz)])
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
