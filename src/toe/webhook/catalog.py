"""Keep the catalog equal to the configs: the one object that the API server's fence compares every injection with.

Written by the webhook's account, which cannot inject; the controller, which can, cannot write it. Zero writes while
both are equal. One that is not there is made: while it is missing, nobody in the cluster can add an ephemeral container
to a pod, and whoever may fill the catalog gains nothing by making it.

Several replicas keep it. Those that compile it alike agree; during an upgrade some do not, and the younger process is
the one that stays: its writes stand, and the older one has patience, ever more of it, before it writes over them.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import structlog

from toe.api.meta import API_VERSION
from toe.api.powertoolcatalog import KIND, NAME, PowerToolCatalog, PowerToolCatalogSpec, PowerToolCatalogStatus
from toe.api.settings import Settings
from toe.api.time import parse_time
from toe.errors import ClusterError
from toe.kube.client import Client
from toe.kube.resource import POWERTOOLCATALOGS
from toe.plan.catalog import compile_catalog
from toe.plan.conditions import with_condition
from toe.plan.patches import nulled, status_patch
from toe.webhook.observe import Observer

RETRY_SECONDS = 1.0
"""After a failure; doubled for each one that follows, up to a minute. A change is tried at once."""
LONGEST_RETRY = 60.0
SPACING_SECONDS = 0.5
"""Between two writes: many configs that are applied together become one or two."""
PATIENCE_SECONDS = 10.0
"""How long what a younger process wrote stands although it differs; doubled for each time that it was written over."""
KEPT_SINCE = "toe.run/kept-since"
"""Annotation of the catalog: since when the process that wrote it last has been running."""
_log = structlog.get_logger(__name__)


class CatalogKeeper:
    """Writes the catalog whenever configs or somebody else changed it."""

    def __init__(self, client: Client, settings: Settings, clock: Callable[[], datetime]) -> None:
        """``clock`` tells the present time, first of all when this process started."""
        self._client = client
        self._settings = settings
        self._clock = clock
        self._since = clock()
        self._patience = PATIENCE_SECONDS
        self._yields_until: float | None = None
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
            why = await self._keep(observer)
            self.is_current = why == ""
            if why is not None:
                await self._tell(observer, why)
            self.has_tried = True
            now = asyncio.get_running_loop().time
            wait = self._yields_until - now() if self._yields_until is not None else pause
            try:
                async with asyncio.timeout(None if self.is_current else max(wait, 0.0)):
                    await self._changed.wait()
                pause = RETRY_SECONDS
            except TimeoutError:
                pause = min(2 * pause, LONGEST_RETRY)
            await asyncio.sleep(self._may_write_at - now())

    async def _keep(self, observer: Observer) -> str | None:
        """Returns why the catalog is not current, empty where it is; None while another process keeps it."""
        catalog = observer.catalogs.get(self._settings.system_namespace, NAME)
        wanted = compile_catalog(observer.judged(), self._settings)
        if catalog is not None and catalog.spec == wanted:
            self._yields_until = None
            return ""
        if catalog is not None and self._yields(catalog):
            return None
        self._may_write_at = asyncio.get_running_loop().time() + SPACING_SECONDS
        namespace = self._settings.system_namespace
        try:
            if catalog is None:
                _log.warning("there is no catalog: it is made", namespace=namespace, name=NAME)
                stored = await self._client.create(POWERTOOLCATALOGS, namespace, whole(wanted, namespace, self._since))
            else:
                change_of = change(catalog, wanted, self._since)
                stored = await self._client.patch(POWERTOOLCATALOGS, namespace, NAME, change_of, kind="merge")
        except ClusterError as error:
            _log.warning("the catalog could not be written", error=error.message, status=error.status)
            return None if error.status == 409 else error.message
        observer.catalogs.observe(stored)
        _log.info("catalog written", tools=[tool.name for tool in wanted.tools])
        return ""

    async def _tell(self, observer: Observer, why: str) -> None:
        """Writes into its status whether the catalog says what the configs say, where that is not written yet."""
        catalog = observer.catalogs.get(self._settings.system_namespace, NAME)
        if catalog is None:
            return
        generation = catalog.metadata.generation
        conditions = with_condition(
            catalog.status.conditions,
            "Current",
            true=not why,
            reason="NotWritten" if why else "Compiled",
            message=why or "the fence compares with what the PowerToolConfigs say",
            now=self._clock(),
            generation=generation,
        )
        if conditions == catalog.status.conditions:
            return
        body = status_patch(catalog, PowerToolCatalogStatus(generation, conditions))
        try:
            stored = await self._client.patch(
                POWERTOOLCATALOGS, self._settings.system_namespace, NAME, body, kind="merge", subresource="status"
            )
        except ClusterError as error:
            # Another replica tells the same, and whoever changed the catalog wakes us.
            _log.info("the catalog's condition was not written", error=error.message, status=error.status)
            return
        observer.catalogs.observe(stored)

    def _yields(self, catalog: PowerToolCatalog) -> bool:
        """Tells whether a catalog that differs is left as it is for now: a younger process wrote it."""
        written_by = parse_time((catalog.metadata.annotations or {}).get(KEPT_SINCE, ""))
        if written_by is None or written_by <= self._since:
            self._yields_until = None
            return False
        now = asyncio.get_running_loop().time()
        if self._yields_until is None:
            _log.info("a younger process keeps the catalog otherwise", seconds=self._patience)
            self._yields_until = now + self._patience
        if now < self._yields_until:
            return True
        self._patience, self._yields_until = 2 * self._patience, None
        return False


def whole(wanted: PowerToolCatalogSpec, namespace: str, since: datetime) -> dict[str, Any]:
    """Returns a new catalog that says what is wanted; another replica that is faster makes it fail."""
    metadata = {"name": NAME, "namespace": namespace, "annotations": _kept(since)}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": msgspec.to_builtins(wanted)}


def change(catalog: PowerToolCatalog, wanted: PowerToolCatalogSpec, since: datetime) -> dict[str, Any]:
    """Returns the merge patch that makes the catalog say what is wanted; it fails on any other version of it."""
    meta = catalog.metadata
    spec = {"tools": msgspec.to_builtins(wanted.tools), "index": nulled(catalog.spec.index, wanted.index)}
    version = {"uid": meta.uid, "resourceVersion": meta.resource_version}
    return {"metadata": {**version, "annotations": _kept(since)}, "spec": spec}


def _kept(since: datetime) -> dict[str, str]:
    return {KEPT_SINCE: since.isoformat()}
