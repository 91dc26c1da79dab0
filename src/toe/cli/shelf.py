"""Where kept files are had from: the API server, behind which the artifacts API stands, or the collector's own address.

A person is who he is to kubectl. The collector itself takes tokens only, so a person with a client certificate needs
the API server.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from toe.api.endpoint import checked_endpoint
from toe.cli.cluster import Cluster, access_of
from toe.cli.sentences import ComplaintError
from toe.errors import ClusterError, InvalidError, NotFoundError, UnavailableError
from toe.kube.access import Access
from toe.kube.client import Client
from toe.kube.credentials import Credential, Source
from toe.kube.resource import Resource
from toe.report.artifacts import API_VERSION, GROUP, KIND, PLURAL, RUN_LABEL, VERSION, KeptArtifact

ARTIFACTS: Resource[KeptArtifact] = Resource(GROUP, VERSION, PLURAL, KIND, True, KeptArtifact)
CONFIGMAP = "toe-downloads"
"""In the system namespace, where the installation writes the collector's address for people: ``url`` and ``ca.crt``."""
CONTENT_SECONDS = 55.0
"""For one piece: the API server cuts an ordinary answer after 60 s."""


class NoWayError(ComplaintError):
    """Kept files cannot be had in this cluster: nobody serves them."""


class _Address(msgspec.Struct, frozen=True):
    url: str = ""
    ca: str = msgspec.field(name="ca.crt", default="")


class _ConfigMap(msgspec.Struct, frozen=True):
    data: _Address = _Address()


class Shelf:
    """Lists kept files, and reads parts of them."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def list(self, namespace: str | None, run: str | None = None) -> list[KeptArtifact]:
        """Returns what is kept of all runs or of one, in one namespace or in all."""
        selector = f"{RUN_LABEL}={run}" if run else ""
        found, _ = await self._client.list(ARTIFACTS, namespace, label_selector=selector)
        return found

    async def read(self, artifact: KeptArtifact, start: int, end: int) -> bytes:
        """Returns the bytes from ``start`` up to ``end``, not included."""
        meta = artifact.metadata
        content = await self._client.raw(
            "GET",
            ARTIFACTS.path(meta.namespace, meta.name, "content"),
            headers={"Range": f"bytes={start}-{end - 1}", "If-Match": f'"{artifact.sha256}"'},
            deadline=CONTENT_SECONDS,
        )
        if len(content) != end - start:
            raise InvalidError(f"{len(content)} bytes came instead of {end - start}")
        return content


@asynccontextmanager
async def shelf_of(cluster: Cluster, collector: str | None = None, ca: Path | None = None) -> AsyncIterator[Shelf]:
    """Is where kept files are had from: what is stated, else the API server, else the address that is published.

    ComplaintError when there is no way.
    """
    if collector:
        address = _Address(collector)
    elif await _is_served(cluster):
        yield Shelf(cluster.client)
        return
    else:
        address = await _published(cluster)
    async with Client(_direct(cluster, address, ca)) as client:
        try:
            yield Shelf(client)
        except UnavailableError as error:
            if error.status:
                raise
            hints = ["is it exposed to you? an administrator published this address, or --collector named it"]
            raise ComplaintError(f"the collector cannot be reached: {error.message}", hints=hints) from error


async def _is_served(cluster: Cluster) -> bool:
    """Tells whether the API server knows the artifacts API; ComplaintError when it knows but does not reach it."""
    try:
        await cluster.client.raw("GET", f"/apis/{API_VERSION}", label="discovery")
    except NotFoundError:
        return False
    except UnavailableError as error:
        if error.status != 503:
            raise
        raise ComplaintError(
            "the artifacts API does not answer: the API server cannot reach it (503)",
            hints=[
                f"an administrator sees why: kubectl describe apiservice {VERSION}.{GROUP}",
                "where the collector has an address of its own: --collector URL",
            ],
        ) from error
    return True


async def _published(cluster: Cluster) -> _Address:
    namespace = cluster.settings.system_namespace
    path = f"/api/v1/namespaces/{namespace}/configmaps/{CONFIGMAP}"
    try:
        address = msgspec.json.decode(await cluster.client.raw("GET", path), type=_ConfigMap).data
    except (ClusterError, msgspec.DecodeError):
        address = _Address()
    if not address.url:
        raise NoWayError(
            "files that are kept cannot be had here: the cluster serves no artifacts API",
            hints=[
                f"an administrator registers it (APIService {VERSION}.{GROUP}),",
                f"or publishes the collector's address (ConfigMap {CONFIGMAP} in {namespace}); --collector names it",
            ],
        )
    return address


def _direct(cluster: Cluster, address: _Address, ca: Path | None) -> Access:
    """Returns the way to the collector itself, with the person's token and nothing else of his."""
    access = access_of(cluster.call)
    if access.impersonate.headers():
        raise ComplaintError("the collector itself lets nobody act as somebody else (--as)", status=2)
    url = checked_endpoint(address.url)
    return Access(server=url, credentials=_Token(access.credentials), ca_file=ca, ca_data=address.ca.encode())


class _Token:
    """Gives a person's bearer token; his certificate and his password go to the API server alone."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._given: tuple[Credential, Credential] | None = None

    async def get(self, *, refused: Credential | None = None) -> Credential:
        """Returns the token; ComplaintError when he proves himself by something else."""
        given = self._given
        again = given[0] if given and refused is given[1] else None
        whole = await self._source.get(refused=again)
        if not whole.authorization.startswith("Bearer "):
            raise ComplaintError(
                "the collector itself takes tokens only, and this user of the kubeconfig has none",
                hints=["--token TOKEN gives one; `kubectl create token NAME` makes one for a service account"],
                status=2,
            )
        if given is None or given[0] is not whole:
            given = self._given = (whole, Credential(whole.authorization))
        return given[1]
