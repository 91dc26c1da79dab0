"""Keep the catalog equal to the configs: the one object that the API server's fence compares every injection with.

Written by the webhook's account, which cannot inject; the controller, which can, cannot write it. Zero writes while
both are equal. One that is not there is made: while it is missing, nobody in the cluster can add an ephemeral container
to a pod, and whoever may fill the catalog gains nothing by making it.
"""

import asyncio
from typing import Any

import msgspec
import structlog

from toe.api.meta import API_VERSION
from toe.api.powertoolcatalog import KIND, NAME, PowerToolCatalog, PowerToolCatalogSpec
from toe.api.settings import Settings
from toe.errors import ClusterError
from toe.kube.client import Client
from toe.kube.resource import POWERTOOLCATALOGS
from toe.plan.catalog import compile_catalog
from toe.webhook.observe import Observer

RETRY_SECONDS = 1.0
"""After a failure; doubled for each one that follows, up to a minute. A change is tried at once."""
LONGEST_RETRY = 60.0
SPACING_SECONDS = 0.5
"""Between two writes: many configs that are applied together become one or two, and two versions of toe cannot race."""
_log = structlog.get_logger(__name__)


class CatalogKeeper:
    """Writes the catalog whenever configs or somebody else changed it."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._changed = asyncio.Event()
        self._may_write_at = 0.0
        self.is_current = False
        """Whether the catalog says what the configs say: a metric. The fence refuses what differs."""
        self.has_tried = False
        """Whether it was compared once: part of readiness.

        That it is current is not: a config that cannot be compiled must be mended, and the webhook lets that in.
        """

    def wake(self) -> None:
        """Has the catalog looked at."""
        self._changed.set()

    async def run(self, observer: Observer) -> None:
        """Keeps the catalog until it is cancelled."""
        await observer.synced()
        pause = RETRY_SECONDS
        while True:
            self._changed.clear()
            self.is_current = await self._keep(observer)
            self.has_tried = True
            try:
                async with asyncio.timeout(None if self.is_current else pause):
                    await self._changed.wait()
                pause = RETRY_SECONDS
            except TimeoutError:
                pause = min(2 * pause, LONGEST_RETRY)
            await asyncio.sleep(self._may_write_at - asyncio.get_running_loop().time())

    async def _keep(self, observer: Observer) -> bool:
        catalog = observer.catalogs.get(self._settings.system_namespace, NAME)
        wanted = compile_catalog(observer.judged(), self._settings)
        if catalog is not None and catalog.spec == wanted:
            return True
        self._may_write_at = asyncio.get_running_loop().time() + SPACING_SECONDS
        namespace = self._settings.system_namespace
        try:
            if catalog is None:
                _log.warning("there is no catalog: it is made", namespace=namespace, name=NAME)
                stored = await self._client.create(POWERTOOLCATALOGS, namespace, whole(wanted, namespace))
            else:
                change_of = change(catalog, wanted)
                stored = await self._client.patch(POWERTOOLCATALOGS, namespace, NAME, change_of, kind="merge")
        except ClusterError as error:
            _log.warning("the catalog could not be written", error=error.message, status=error.status)
            return False
        observer.catalogs.observe(stored)
        _log.info("catalog written", tools=[tool.name for tool in wanted.tools])
        return True


def whole(wanted: PowerToolCatalogSpec, namespace: str) -> dict[str, Any]:
    """Returns a new catalog that says what is wanted; another replica that is faster makes it fail."""
    metadata = {"name": NAME, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": msgspec.to_builtins(wanted)}


def change(catalog: PowerToolCatalog, wanted: PowerToolCatalogSpec) -> dict[str, Any]:
    """Returns the merge patch that makes the catalog say what is wanted; it fails on any other version of it."""
    meta = catalog.metadata
    tools = msgspec.to_builtins(wanted.tools)
    return {"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version}, "spec": {"tools": tools}}
