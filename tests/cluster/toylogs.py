"""The logs of a node that is not there: the API server asks here for what containers printed.

A pod of this node has whatever log a test says, through the same path that a kubelet's would take.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from devcluster import Cluster, pki
from tests.cluster.rest import RefusedError, Rest

NODE = "toy-logs"
BEGAN = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


class ToyLogs:
    """Serves ``logs[container]``, lines in order; a line that is a number is a pause of so many seconds."""

    def __init__(self) -> None:
        self.logs: dict[str, list[bytes | float]] = {}
        self.cuts = 0
        """How many followed logs are cut after their first line."""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answers as a kubelet does: times in front, since a time, and followed."""
        lines = self.logs[request.match_info["container"]]
        follow, stamped = request.query.get("follow") == "true", request.query.get("timestamps") == "true"
        since = request.query.get("sinceTime", "")
        answer = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await answer.prepare(request)
        sent = 0
        for number, line in enumerate(lines):
            if not isinstance(line, bytes):
                await asyncio.sleep(line if follow else 0)
                continue
            time = (BEGAN + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%S.000000000Z")
            if since and time < since:
                continue
            await answer.write((time.encode() + b" " if stamped else b"") + line + b"\n")
            sent += 1
            if follow and self.cuts and sent == 1:
                self.cuts -= 1
                assert request.transport is not None
                request.transport.abort()
                return answer
        await answer.write_eof()
        return answer


@asynccontextmanager
async def toy_logs(cluster: Cluster, rest: Rest) -> AsyncIterator[ToyLogs]:
    """Is a node of which only the logs can be read."""
    logs = ToyLogs()
    app = web.Application()
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", logs.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, cluster.host_address, 0, ssl_context=_tls(cluster))
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    await _announce(rest, cluster.host_address, port)
    try:
        yield logs
    finally:
        await runner.cleanup()


async def _announce(rest: Rest, address: str, port: int) -> None:
    try:
        await rest.create("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
    except RefusedError as refused:
        if refused.status != 409:
            raise
    status = {
        "addresses": [{"type": "InternalIP", "address": address}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    await rest.merge(f"/api/v1/nodes/{NODE}/status", {"status": status})


def _tls(cluster: Cluster) -> ssl.SSLContext:
    """Shows a certificate that the API server trusts as a kubelet's."""
    directory = cluster.ca_file.parent
    key = serialization.load_pem_private_key((directory / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signer = pki.Identity(x509.load_pem_x509_certificate(cluster.ca_file.read_bytes()), key)
    now = datetime.now(UTC)  # noqa: TID251 - a certificate is valid from now
    own = pki.issue(signer, f"system:node:{NODE}", now, hosts=(cluster.host_address,))
    file = Path(directory) / "toy-logs.pem"
    file.write_bytes(own.certificate_pem + own.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
