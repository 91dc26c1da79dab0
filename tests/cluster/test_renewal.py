"""Two webhooks renew what they serve, and take up another authority, while an API server asks them all the time."""

import asyncio
import os
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from cryptography import x509

from devcluster import Cluster
from tests.cluster.hooked import (
    HOOKS,
    SYSTEM,
    as_account,
    free_port,
    install_catalog,
    install_rights,
    ready,
    until_asked,
)
from tests.cluster.rest import Object, RefusedError, Rest, configs, runs
from tests.cluster.stage import Stage, a_run, install
from tests.kube.test_authority import roll_over
from tests.webhook.pki import START, an_authority
from toe.api.webhooks import SERVICE, Endpoint, validating
from toe.kube.serving import service_names
from toe.main import now

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

RATE = 100
"""Admissions in a second."""
ANEW = 0.4
"""Seconds from one moment at which the API server begins with new connections to the next."""
PROGRAM = """
import sys
from datetime import timedelta
from pathlib import Path
from toe.main import now, surroundings
from toe.webhook.program import run

clock = lambda: now() + timedelta(days=float(Path(sys.argv[1]).read_text()))
raise SystemExit(run(sys.argv[2:], surroundings(), clock))
"""
"""``toe webhook`` with a clock that differs from the real one by the days in a file."""


class Webhooks:
    """Is two processes that serve alike, and the clock that both have."""

    def __init__(self, place: Path) -> None:
        self._place, self.ports = place, (free_port(), free_port())
        self.asked: set[int] = set()

    def turn(self, days: float) -> None:
        """Sets the clock to so many days after now."""
        new = self._place / "new"
        new.write_text(str(days))
        new.rename(self._place / "days")

    @asynccontextmanager
    async def serving(self, kubeconfig: Path, port: int) -> AsyncIterator[None]:
        """Is one of them, ready inside of the block; it ends well."""
        flags = ("--ca-cert", self._place / "ca.crt", "--ca-key", self._place / "ca.key", "--port", str(port))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, self._place / "days", "--kubeconfig", kubeconfig, *flags),
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await ready(process, port)
            yield
        finally:
            if process.returncode is None:
                os.kill(process.pid, signal.SIGTERM)
            assert await process.wait() == 0

    async def leaves(self, bundle: bytes) -> set[int]:
        """Returns the serial numbers of what the two serve to one who trusts a bundle, and no other."""
        trust = ssl.create_default_context(cadata=bundle.decode())
        found = set()
        for port in self.ports:
            _, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=trust, server_hostname=service_names(SERVICE, SYSTEM)[0]
            )
            der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            found.add(x509.load_der_x509_certificate(der).serial_number)
            writer.transport.abort()
        return found

    async def others(self, bundle: bytes, before: set[int]) -> set[int]:
        """Waits until both serve something else than before; for two seconds more the API server asks them."""
        async with asyncio.timeout(20):
            while True:
                found = await self.leaves(bundle)
                if not found & before:
                    break
                await asyncio.sleep(0.1)
        await asyncio.sleep(5 * ANEW)
        self.asked |= self._connected()
        return found

    def _connected(self) -> set[int]:
        """Is which of them have connections."""
        lines = [
            line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()
        ]
        return {int(line[1].rpartition(":")[2], 16) for line in lines if line[3] == "01"} & set(self.ports)


class Registration:
    """Is what the API server knows of the two; written again and again, so that it begins with new connections."""

    def __init__(self, rest: Rest, bundle: bytes) -> None:
        self._rest, self.bundle, self._written = rest, bundle, count()

    async def write(self) -> None:
        """Writes it; a bundle that differs in one byte means new connections."""
        bundle = self.bundle.decode() + "\n" * (next(self._written) % 2)
        await self._rest.apply(HOOKS, validating(Endpoint(authority=bundle)))

    @asynccontextmanager
    async def written_anew(self) -> AsyncIterator[None]:
        """Writes it again and again inside of the block."""

        async def write_on() -> None:
            while True:
                await asyncio.sleep(ANEW)
                await self.write()

        async with asyncio.TaskGroup() as writing:
            task = writing.create_task(write_on())
            yield
            task.cancel()


class Load:
    """Creates runs at a rate, however long answers take; every tenth is bad in a way that only the webhook knows."""

    def __init__(self, rest: Rest, namespace: str) -> None:
        self._rest, self._path = rest, runs(namespace)
        self.sent = 0
        self.wrong: list[str] = []

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Goes on inside of the block; at its end all answers are there."""
        async with asyncio.TaskGroup() as requests:
            sender = requests.create_task(self._send(requests))
            yield
            sender.cancel()

    async def _send(self, requests: asyncio.TaskGroup) -> None:
        begun = time.monotonic()
        while True:
            requests.create_task(self._create(self.sent))
            self.sent += 1
            await asyncio.sleep(begun + self.sent / RATE - time.monotonic())

    async def _create(self, number: int) -> None:
        bad = number % 10 == 0
        run = a_run(f"run-{number}", self._path.split("/")[-2], {"a": "yes"}, duration="9h" if bad else "5s")
        said = ""
        try:
            await self._rest.create(self._path, run, dryRun="All")
        except RefusedError as refused:
            said = str(refused)
        if ("longer than" not in said) if bad else said:
            self.wrong.append(f"{number}: {said or 'accepted'}")


async def install_service(rest: Rest, address: str, ports: tuple[int, ...]) -> list[str]:
    """Makes the webhook's Service, which leads to this host; returns the paths of what was made."""
    services, slices = (
        f"/api/v1/namespaces/{SYSTEM}/services",
        f"/apis/discovery.k8s.io/v1/namespaces/{SYSTEM}/endpointslices",
    )
    found: Object = {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 443, "targetPort": 8443}]}}
    made = {f"{services}/{SERVICE}": found}
    for port in ports:
        made[f"{slices}/{SERVICE}-{port}"] = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"labels": {"kubernetes.io/service-name": SERVICE}},
            "addressType": "IPv4",
            "ports": [{"name": "", "port": port}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        }
    for path, obj in made.items():
        obj["metadata"] = {"name": path.rpartition("/")[2], **obj.get("metadata", {})}
        await rest.apply(path, obj)
    return [*made]


async def test_three_renewals_and_a_roll_over_fail_no_admission(control_plane: Cluster, tmp_path: Path) -> None:
    """At 100 a second, with new connections all the time. The clock goes on by four weeks.

    The real API server's clock does not, so each leaf has to be good now: the authorities end tomorrow, and leaves with
    them. Two thirds of what is left of their lives are 20 days, then 7, then 2.
    """
    until_tomorrow = now() - START + timedelta(days=1)
    old, new = (an_authority(f"toe-webhook-ca {name}", below=None, life=until_tomorrow) for name in ("old", "new"))
    certificate, _ = old.save(tmp_path)
    one = certificate.read_bytes()
    webhooks = Webhooks(tmp_path)
    webhooks.turn(-28)
    async with AsyncExitStack() as stack:
        rest = await stack.enter_async_context(Rest.of(control_plane.kubeconfig))
        await install(rest)
        await install_catalog(rest)
        await install_rights(rest)
        stage = Stage(rest, control_plane.kubeconfig, await rest.namespace("renewing"))
        await stage.tool()
        stack.push_async_callback(rest.delete, configs(stage.name))
        for port in webhooks.ports:
            await stack.enter_async_context(webhooks.serving(as_account(control_plane, tmp_path), port))
        for path in await install_service(rest, control_plane.host_address, webhooks.ports):
            stack.push_async_callback(rest.delete, path)
        registration = Registration(rest, one)
        await registration.write()
        stack.push_async_callback(rest.delete, HOOKS)
        await until_asked(rest, stage.name, stage.name)
        leaves = await webhooks.leaves(one)
        load, begun = Load(rest, stage.name), time.monotonic()
        async with load.going_on(), registration.written_anew():
            for days in (-8.5, -2.1):
                webhooks.turn(days)
                leaves = await webhooks.others(one, leaves)
            for _ in roll_over(tmp_path, new):
                await asyncio.sleep(ANEW)
            leaves = await webhooks.others(one, leaves)
            registration.bundle = both = certificate.read_bytes()
            await webhooks.others(both, set())
            registration.bundle = other = both.removesuffix(one)
            await webhooks.others(other, set())
            webhooks.turn(0)
            await webhooks.others(other, leaves)
        seconds = time.monotonic() - begun
        assert load.wrong == []
        assert load.sent > 0.9 * RATE * seconds
        assert webhooks.asked == set(webhooks.ports)
