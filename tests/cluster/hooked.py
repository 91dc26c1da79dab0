"""``toe webhook`` as a real process that a real API server asks, installed as the product installs it."""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import yaml

from charts import rights
from devcluster import Cluster
from tests.cluster.rest import GROUP, Object, RefusedError, Rest, condition, runs
from tests.cluster.stage import a_run
from tests.webhook.pki import an_authority
from toe.api.fence.objects import parameter
from toe.api.fence.policy import WEBHOOK
from toe.api.settings import Settings
from toe.api.webhooks import Endpoint, validating

SYSTEM = Settings().system_namespace
ACCOUNT = f"system:serviceaccount:{SYSTEM}:{WEBHOOK}"
CATALOG = f"/apis/{GROUP}/namespaces/{SYSTEM}/powertoolcatalogs/catalog"
REGISTRATION = "/apis/admissionregistration.k8s.io/v1"
HOOKS = f"{REGISTRATION}/validatingwebhookconfigurations/toe"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"


def free_port() -> int:
    """Is a port that nobody listens on, and that no connection of anybody's gets: a server may come back to it."""
    first_given_out = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(100):
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("", secrets.randbelow(first_given_out - 20_000) + 20_000))
            return int(found.getsockname()[1])
    raise AssertionError("there is no free port")


def certificate(place: Path, address: str) -> tuple[Path, Path]:
    """Writes a certificate for an address, which is its own authority, and its key."""
    signer = an_authority()
    found, key = signer.issue(place, address)
    found.write_bytes(found.read_bytes() + signer.save(place)[0].read_bytes())
    return found, key


def configuration(cluster: Cluster, port: int, authority: bytes) -> Object:
    """Is the product's own configuration, for a webhook on this host."""
    return validating(endpoint(cluster, port, authority))


def endpoint(cluster: Cluster, port: int, authority: bytes) -> Endpoint:
    """Is where the API server finds a webhook on this host."""
    return Endpoint(authority=authority.decode(), url=f"https://{cluster.host_address}:{port}")


async def install_catalog(rest: Rest) -> None:
    """Installs the catalog's kind and the empty catalog, as an installer does: before anything that reads it."""
    definition, empty = parameter(Settings())
    place = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition['metadata']['name']}"
    await rest.apply(place, definition)
    await rest.until(place, lambda crd: condition(crd, "Established") == "True")
    await rest.ensure(CATALOG.rpartition("/")[0], empty)


async def install_rights(rest: Rest) -> None:
    """Installs accounts and what they may do, as the chart does."""
    for obj in rights.everything(Settings()):
        meta, plural = obj["metadata"], f"{obj['kind'].lower()}s"
        if plural not in ("roles", "rolebindings", "clusterroles", "clusterrolebindings"):
            continue
        place = f"{_RBAC}/namespaces/{meta['namespace']}" if "namespace" in meta else _RBAC
        await rest.apply(f"{place}/{plural}/{meta['name']}", obj)


def as_account(cluster: Cluster, place: Path) -> Path:
    """Writes a kubeconfig with no more rights than the webhook's account has."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{SYSTEM}", "system:authenticated"]
    config["users"][0]["user"] |= {"as": ACCOUNT, "as-groups": groups}
    found = place / "webhook.kubeconfig"
    found.write_text(yaml.safe_dump(config))
    return found


@asynccontextmanager
async def serving(kubeconfig: Path, port: int, *flags: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Is a ``toe webhook`` that is ready inside of the block, and ends well."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "toe.main", "webhook", "--kubeconfig", str(kubeconfig), "--port", str(port), *flags),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await ready(process, port)
        yield process
    finally:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGTERM)
        assert await process.wait() == 0


async def ready(process: asyncio.subprocess.Process, port: int) -> None:
    """Waits until it says so itself; tells the last reason when it does not."""
    said = "nothing"
    try:
        async with asyncio.timeout(30), aiohttp.ClientSession() as session:
            while True:
                assert process.returncode is None
                try:
                    async with session.get(f"https://127.0.0.1:{port}/readyz", ssl=False) as found:
                        said = await found.text()
                        if found.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"the webhook is not ready: {said}") from None


async def until_asked(rest: Rest, namespace: str, tool: str) -> None:
    """Waits until the API server asks the webhook, and the webhook knows the tool."""
    await until_refused(rest, namespace, a_run("probe", tool, {"a": "yes"}, duration="9h"), "longer than")


async def until_refused(rest: Rest, namespace: str, run: Object, words: str) -> str:
    """Waits until the creation of a run is refused with these words; returns the whole message."""
    said = "accepted"
    async with asyncio.timeout(30):
        while True:
            try:
                await rest.create(runs(namespace), run, dryRun="All")
            except RefusedError as refused:
                said = str(refused)
                if words in said:
                    return said
            try:
                await asyncio.sleep(0.2)
            except asyncio.CancelledError:
                raise AssertionError(f"never refused with {words!r}, but: {said}") from None
