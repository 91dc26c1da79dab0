"""An S3 server that is a child process: moto's."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

KEYS = {"access_key_id": "AKIDCANARY", "secret_access_key": "SECRETCANARY"}


@contextmanager
def s3_server() -> Iterator[str]:
    """Yields the address of a server without a bucket; it is gone afterwards."""
    port = free_port()
    program = Path(sys.executable).with_name("moto_server")
    server = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def free_port() -> int:
    """Returns a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def make_bucket(server: str, name: str) -> None:
    """Makes a bucket there."""
    async with aiohttp.ClientSession() as session, session.put(f"{server}/{name}") as answer:
        assert answer.status == 200, await answer.text()
