"""``toe apiserver`` as a real process behind a real API server, registered as the product registers it; and people."""

import asyncio
import base64
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import aiohttp
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from charts import rights
from devcluster import Cluster, pki
from tests.charts.rendering import named, rendered
from tests.cluster.hooked import free_port, ready
from tests.cluster.rest import Object, RefusedError, Rest, condition
from tests.webhook.pki import an_authority
from toe.api.settings import Settings
from toe.store.directory import DirectoryStore

SYSTEM = Settings().system_namespace
NAME = "toe-apiserver"
SERVED_AS = f"{NAME}.{SYSTEM}.svc"
ACCOUNT = f"system:serviceaccount:{SYSTEM}:{NAME}"
API = "/apis/artifacts.toe.run/v1alpha1"
APISERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
APISERVICE = f"{APISERVICES}/v1alpha1.artifacts.toe.run"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Ran(NamedTuple):
    """Is what a command line came to."""

    status: int
    out: str
    err: str


class Fronted:
    """Is the artifacts API behind an API server, and the store that it reads."""

    def __init__(self, cluster: Cluster, rest: Rest, store: DirectoryStore, place: Path, port: int) -> None:
        self.cluster, self.rest, self.store, self.place, self.port = cluster, rest, store, place, port
        self.process: asyncio.subprocess.Process
        self.flags: tuple[str, ...] = ()

    async def stop(self) -> None:
        """Ends the process, and leaves the registration: nobody answers any more."""
        os.kill(self.process.pid, signal.SIGTERM)
        await self.process.wait()

    @property
    def pki(self) -> Path:
        """Is where the cluster's certificates and keys are."""
        return self.cluster.ca_file.parent

    def person(self, name: str, *groups: str) -> Path:
        """Writes a kubeconfig for somebody with a client certificate, as kubectl takes it."""
        authority = signer(self.pki, "ca")
        made = pki.kubeconfig(self.cluster.server, authority, pki.issue(authority, name, now(), groups=groups))
        return _write(self.place / f"{name}.kubeconfig", made)

    async def account(self, namespace: str, name: str) -> Path:
        """Makes a service account, and writes a kubeconfig with a token of it."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        await self.rest.ensure(path, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token = (await self.rest.create(f"{path}/{name}/token", request))["status"]["token"]
        config = yaml.safe_load(self.cluster.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        return _write(self.place / f"{namespace}-{name}.kubeconfig", yaml.safe_dump(config))

    async def grant(self, namespace: str, role: str, *subjects: str) -> None:
        """Lets somebody have a role in a namespace; a subject is a user, or ``NAMESPACE:NAME`` of an account."""
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [_subject(subject) for subject in subjects],
        }
        await self.rest.apply(f"{_RBAC}/namespaces/{namespace}/rolebindings/{role}", binding)

    async def kubectl(self, kubeconfig: Path, *words: str) -> Ran:
        """Types a command line of kubectl."""
        cache = self.place / "kubectl-cache"
        return await _run(
            str(self.cluster.kubectl_program()), f"--kubeconfig={kubeconfig}", f"--cache-dir={cache}", *words
        )

    async def toe(self, kubeconfig: Path, *words: str) -> Ran:
        """Types a command line of ``kubectl toe``."""
        code = "from toe.main import kubectl_plugin; kubectl_plugin()"
        return await _run(sys.executable, "-X", "utf8", "-c", code, *words, "--kubeconfig", str(kubeconfig))

    def session(self, certificate: str = "", authority: str = "front-proxy-ca") -> aiohttp.ClientSession:
        """Is a client that goes to the artifacts API itself, with a certificate of that name or without."""
        trust = ssl.create_default_context(cafile=str(self.place / "ca.crt"))
        trust.check_hostname = False
        if certificate:
            made = pki.issue(signer(self.pki, authority), certificate, now())
            file = self.place / f"direct-{certificate}.pem"
            file.write_bytes(made.certificate_pem + made.key_pem)
            trust.load_cert_chain(file)
        return aiohttp.ClientSession(
            f"https://{self.cluster.host_address}:{self.port}", connector=aiohttp.TCPConnector(ssl=trust)
        )


def now() -> datetime:
    """Is the time at which certificates are made."""
    return datetime.now(UTC)  # noqa: TID251 certificates for a real API server


def signer(place: Path, name: str) -> pki.Identity:
    """Reads one of the cluster's authorities."""
    key = load_pem_private_key((place / f"{name}.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return pki.Identity(x509.load_pem_x509_certificate((place / f"{name}.crt").read_bytes()), key)


@asynccontextmanager
async def fronted(cluster: Cluster, place: Path) -> AsyncIterator[Fronted]:
    """Is the artifacts API, registered and available inside of the block; the registration goes first."""
    authority = an_authority()
    authority.save(place)
    certificate, key = authority.issue(place, SERVED_AS)
    port = free_port()
    async with Rest.of(cluster.kubeconfig) as rest:
        await install(rest, cluster, port)
        store = DirectoryStore(place / "store")
        found = Fronted(cluster, rest, store, place, port)
        flags = ("--tls-cert", str(certificate), "--tls-key", str(key), "--ca-cert", str(place / "ca.crt"))
        async with serving(found, *flags, "--serving-name", SERVED_AS) as found.process:
            await rest.apply(APISERVICE, registration((place / "ca.crt").read_bytes()))
            try:
                await rest.until(APISERVICE, lambda service: condition(service, "Available") == "True")
                yield found
            finally:
                await rest.delete(APISERVICE)
        store.close()


def registration(authority: bytes) -> Object:
    """Returns the chart's APIService, with what is to be trusted here."""
    found = named(rendered(), "APIService", "v1alpha1.artifacts.toe.run")
    spec = {**found["spec"], "caBundle": base64.b64encode(authority).decode()}
    return {**found, "metadata": {"name": found["metadata"]["name"]}, "spec": spec}


async def install(rest: Rest, cluster: Cluster, port: int) -> None:
    """Installs account and rights as the chart does, and a Service that leads to this host."""
    await rest.namespace(SYSTEM)
    for obj in rights.everything(Settings()):
        meta, plural = obj["metadata"], f"{obj['kind'].lower()}s"
        group = _RBAC if "rbac" in obj["apiVersion"] else "/api/v1"
        where = f"{group}/namespaces/{meta['namespace']}" if "namespace" in meta else group
        await rest.apply(f"{where}/{plural}/{meta['name']}", obj)
    here = f"namespaces/{SYSTEM}"
    service: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME},
        "spec": {"ports": [{"port": 443, "targetPort": port}]},
    }
    await rest.apply(f"/api/v1/{here}/services/{NAME}", service)
    endpoints: Object = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": NAME, "labels": {"kubernetes.io/service-name": NAME}},
        "addressType": "IPv4",
        "ports": [{"name": "", "port": port}],
        "endpoints": [{"addresses": [cluster.host_address], "conditions": {"ready": True}}],
    }
    await rest.apply(f"/apis/discovery.k8s.io/v1/{here}/endpointslices/{NAME}", endpoints)


@asynccontextmanager
async def serving(found: Fronted, *flags: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Is a ``toe apiserver`` with no more rights than its account has, ready inside of the block; it ends well."""
    config = yaml.safe_load(found.cluster.kubeconfig.read_text())
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{SYSTEM}", "system:authenticated"]
    config["users"][0]["user"] |= {"as": ACCOUNT, "as-groups": groups}
    kubeconfig = _write(found.place / "apiserver.kubeconfig", yaml.safe_dump(config))
    words = ("--kubeconfig", str(kubeconfig), "--port", str(found.port), "--store", str(found.place / "store"))
    found.flags = flags
    with (found.place / "apiserver.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "toe.main", "apiserver", *words, *flags, stderr=log
        )
    try:
        await ready(process, found.port)
        yield process
    finally:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGTERM)
        assert await process.wait() == 0


async def until_refused(rest: Rest, path: str, status: int) -> str:
    """Waits until a path is answered with this status, and returns the message."""
    async with asyncio.timeout(30):
        while True:
            try:
                await rest.text(path)
            except RefusedError as refused:
                if refused.status == status:
                    return refused.message
            await asyncio.sleep(0.2)


def _subject(name: str) -> Object:
    namespace, _, account = name.partition(":")
    if account:
        return {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    return {"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"}


def _write(path: Path, content: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(content)
    return path


async def _run(*words: Sequence[str] | str) -> Ran:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}  # noqa: TID251 a program needs one
    process = await asyncio.create_subprocess_exec(
        *words, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))
