"""``toe webhook`` as a process, called by a real API server: its refusals, and the catalog that follows the configs."""

import asyncio
import base64
import datetime
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from devcluster import Cluster
from tests.cluster.rest import GROUP, Object, RefusedError, Rest, configs, runs
from tests.cluster.stage import Stage, a_config, a_run, staged
from toe.api.fence.objects import parameter
from toe.api.settings import Settings

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

CATALOG = f"/apis/{GROUP}/namespaces/toe-system/powertoolcatalogs/catalog"
HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/toe"


@pytest.fixture
async def scene(control_plane: Cluster, tmp_path: Path) -> AsyncIterator[Stage]:
    """A namespace of its own, with a webhook that the API server asks before anything of ours is created."""
    async with staged(control_plane) as (stage, _):
        await _install_catalog(stage.rest)
        port = _free_port()
        certificate, key = _certificate(tmp_path, control_plane.host_address)
        async with _webhook(control_plane, certificate, key, port) as process:
            await _ready(process, port)
            await stage.rest.apply(HOOKS, _configuration(control_plane, port, certificate.read_bytes()))
            try:
                await _asked(stage)
                yield stage
            finally:
                await stage.rest.delete(HOOKS)


async def test_all_violations_are_told_at_creation(scene: Stage) -> None:
    """In one answer, with the fields, to whoever creates it."""
    run = a_run("bad", scene.name, {"a": "yes"}, duration="9h")
    run["spec"]["tool"]["args"] = ["-x"]
    with pytest.raises(RefusedError) as refused:
        await scene.rest.create(runs(scene.name), run)
    assert "spec.tool.args[0]" in str(refused.value)
    assert "spec.tool.duration" in str(refused.value)


async def test_a_run_whose_config_is_on_its_way_is_let_in(scene: Stage) -> None:
    """A directory is applied in any order; dry runs are judged alike and leave nothing."""
    run = await scene.rest.create(runs(scene.name), a_run("early", "not-yet", {"a": "yes"}), dryRun="All")
    assert run["spec"]["requester"]["username"] == "admin"
    assert (await scene.rest.get(runs(scene.name)))["items"] == []


async def test_a_config_that_cannot_be_used_is_refused(scene: Stage) -> None:
    """Outside the system namespace, with a name that is taken, with a capability that there is not."""
    twin = a_config(f"{scene.name}-twin")
    twin["spec"]["name"] = scene.name
    with pytest.raises(RefusedError, match=f"held by the PowerToolConfig {scene.name}"):
        await scene.rest.create(configs(), twin)
    with pytest.raises(RefusedError, match="only in the namespace toe-system"):
        await scene.rest.create(configs(namespace=scene.name), {**a_config("x"), "metadata": {"name": "x"}})
    with pytest.raises(RefusedError, match="did you mean SYS_ADMIN"):
        await scene.rest.create(configs(), a_config("caps", security={"capabilities": {"add": ["CAP_SYS_ADMIN"]}}))


async def test_the_catalog_follows_the_configs(scene: Stage) -> None:
    """What is Ready is in it, what is suspended is not, and what somebody else wrote is put right."""
    await scene.rest.until(CATALOG, lambda catalog: _tool(catalog, scene.name) is not None)
    await scene.tool(image="registry.example/tool:2")
    await scene.rest.until(CATALOG, lambda c: (_tool(c, scene.name) or {}).get("image") == "registry.example/tool:2")
    await scene.rest.merge(CATALOG, {"spec": {"tools": []}})
    await scene.rest.until(CATALOG, lambda catalog: _tool(catalog, scene.name) is not None)
    await scene.tool(suspended=True)
    await scene.rest.until(CATALOG, lambda catalog: _tool(catalog, scene.name) is None)


async def test_without_the_webhook_nothing_is_created(scene: Stage, control_plane: Cluster) -> None:
    """It fails closed; what exists can still be canceled and deleted."""
    await scene.rest.create(runs(scene.name), a_run("before", scene.name, {"a": "yes"}))
    hook = _configuration(control_plane, _free_port(), b"")
    hook["webhooks"][0]["clientConfig"].pop("caBundle")
    await scene.rest.apply(HOOKS, hook)
    async with asyncio.timeout(30):
        while True:
            try:
                await scene.rest.create(runs(scene.name), a_run("after", scene.name, {"a": "yes"}), dryRun="All")
            except RefusedError as refused:
                if "failed calling webhook" in str(refused):
                    break
            await asyncio.sleep(0.2)
    await scene.rest.merge(runs(scene.name, "before"), {"spec": {"cancel": True}})
    await scene.rest.delete(runs(scene.name, "before"))


def _tool(catalog: Object, name: str) -> Object | None:
    return next((tool for tool in catalog["spec"].get("tools", ()) if tool["name"] == name), None)


async def _install_catalog(rest: Rest) -> None:
    """Installs the catalog's kind and the empty catalog, as an installer does: before anything that reads it."""
    definition, empty = parameter(Settings())
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    place = f"{crds}/{definition['metadata']['name']}"
    await rest.apply(place, definition)
    await rest.until(
        place,
        lambda crd: any(
            c["type"] == "Established" and c["status"] == "True"
            for c in crd.get("status", {}).get("conditions") or ()  # null, until the API server first looks at it
        ),
    )
    await rest.ensure(CATALOG.rpartition("/")[0], empty)


@asynccontextmanager
async def _webhook(cluster: Cluster, certificate: Path, key: Path, port: int) -> AsyncIterator[Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "toe.main", "webhook", "--kubeconfig", str(cluster.kubeconfig), "--port", str(port)),
        *("--tls-cert", str(certificate), "--tls-key", str(key)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGTERM)
        assert await process.wait() == 0


async def _ready(process: Any, port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            assert process.returncode is None
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            writer.close()
            return


async def _asked(stage: Stage) -> None:
    """Waits until the API server asks the webhook, and the webhook follows the cluster."""
    async with asyncio.timeout(30):
        while True:
            try:
                await stage.rest.create(
                    runs(stage.name), a_run("probe", stage.name, {"a": "yes"}, duration="9h"), dryRun="All"
                )
            except RefusedError as refused:
                if "longer than" in str(refused):
                    return
            await asyncio.sleep(0.2)


def _configuration(cluster: Cluster, port: int, authority: bytes) -> Object:
    base = f"https://{cluster.host_address}:{port}"

    def hook(name: str, path: str, operations: list[str], resource: str) -> Object:
        return {
            "name": f"{name}.toe.run",
            "clientConfig": {"url": base + path, "caBundle": base64.b64encode(authority).decode()},
            "rules": [
                {
                    "apiGroups": [GROUP.partition("/")[0]],
                    "apiVersions": ["*"],
                    "operations": operations,
                    "resources": [resource],
                }
            ],
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "timeoutSeconds": 5,
            "admissionReviewVersions": ["v1"],
        }

    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "toe"},
        "webhooks": [
            hook("powertool", "/validate-powertool", ["CREATE"], "powertools"),
            hook("powertoolconfig", "/validate-powertoolconfig", ["CREATE", "UPDATE"], "powertoolconfigs"),
        ],
    }


def _certificate(place: Path, address: str) -> tuple[Path, Path]:
    """Writes a self-signed certificate for an address, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "webhook")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    certificate, secret = place / "tls.crt", place / "tls.key"
    secret.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    certificate.write_bytes(built.public_bytes(pem))
    return certificate, secret


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("", 0))
        return int(found.getsockname()[1])
