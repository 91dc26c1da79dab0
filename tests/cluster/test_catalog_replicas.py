"""Several webhooks keep one catalog, on a real API server: those that agree write once, those that differ seldom."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from devcluster import Cluster
from tests.cluster.hooked import install_catalog
from tests.cluster.program import Audit
from tests.cluster.rest import GROUP, Object, Rest
from tests.cluster.stage import a_config, install
from toe.api.fence.objects import parameter
from toe.api.settings import Settings
from toe.kube.access import from_kubeconfig
from toe.kube.client import Client
from toe.webhook import catalog as module
from toe.webhook.catalog import CatalogKeeper
from toe.webhook.observe import Observer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

BEGAN = datetime(2026, 11, 25, tzinfo=UTC)
_numbers = count(1)


class Place:
    """Is a system namespace of its own with a catalog in it, and webhooks that keep it."""

    def __init__(self, cluster: Cluster, rest: Rest, namespace: str) -> None:
        self.rest, self.namespace = rest, namespace
        self.audit = Audit(cluster.audit_log)
        self._cluster = cluster
        self._path = f"/apis/{GROUP}/namespaces/{namespace}"

    @asynccontextmanager
    async def keeper(self, collector: str, minute: int) -> AsyncIterator[CatalogKeeper]:
        """Is a webhook's half that keeps the catalog, of a version that compiles it with this collector."""
        settings = Settings(system_namespace=self.namespace, collector=f"https://{collector}")
        async with Client(from_kubeconfig([self._cluster.kubeconfig])) as client:
            found = CatalogKeeper(client, settings, lambda: BEGAN + timedelta(minutes=minute))
            observer = Observer(client, settings, found.wake)
            work = [asyncio.create_task(part) for part in (observer.run(), found.run(observer))]
            try:
                await observer.synced()
                yield found
            finally:
                for task in work:
                    task.cancel()
                await asyncio.gather(*work, observer.close(), return_exceptions=True)

    async def tool(self, name: str, **spec: object) -> None:
        config = a_config(name, **spec)
        config["metadata"]["namespace"] = self.namespace
        await self.rest.apply(f"{self._path}/powertoolconfigs/{name}", config)

    async def until(self, name: str, collector: str, seconds: float = 30.0) -> None:
        """Waits until the catalog has a tool as this collector's webhook compiles it."""
        await self.rest.until(
            f"{self._path}/powertoolcatalogs/catalog",
            lambda catalog: (name, f"https://{collector}") in _tools(catalog),
            seconds=seconds,
        )

    async def empty(self) -> None:
        """Takes everything out of the catalog, as somebody else than a webhook."""
        await self.rest.merge(f"{self._path}/powertoolcatalogs/catalog", {"spec": {"tools": []}})

    def writes(self) -> list[str]:
        """Lists the writes of what the catalog says so far, by what became of them."""
        mine = f"{self._path}/powertoolcatalogs"
        return [write.rpartition(" ")[2] for write in self.audit.writes() if mine in write and "/status" not in write]


def _tools(catalog: Object) -> list[tuple[str, str]]:
    return [(tool["name"], tool.get("collector", "")) for tool in catalog["spec"].get("tools", ())]


@pytest.fixture
async def place(control_plane: Cluster) -> AsyncIterator[Place]:
    """Nothing is in the catalog yet."""
    async with Rest.of(control_plane.kubeconfig) as rest:
        await install(rest)
        await install_catalog(rest)
        namespace = await rest.namespace(f"replicas-{next(_numbers)}")
        _, empty = parameter(Settings(system_namespace=namespace))
        await rest.ensure(f"/apis/{GROUP}/namespaces/{namespace}/powertoolcatalogs", empty)
        yield Place(control_plane, rest, namespace)
        await rest.delete(f"/apis/{GROUP}/namespaces/{namespace}/powertoolconfigs")


async def test_replicas_of_one_version_do_not_write_against_each_other(place: Place) -> None:
    """A change is one write that is accepted, whoever is faster; at rest there is none."""
    async with place.keeper("one", 0) as older, place.keeper("one", 1) as younger:
        for number in range(5):
            await place.tool(f"tool-{number}")
            await place.until(f"tool-{number}", "one")
        await asyncio.sleep(3)  # not a wait for something: the promise is that nothing happens
        assert place.writes().count("200") == 5, place.writes()
        assert len(place.writes()) <= 10, place.writes()
        assert older.is_current
        assert younger.is_current


async def test_two_versions_write_seldom_and_the_younger_ones_stands(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as an upgrade takes: the older one's pauses double; when one of them is gone the other one has it."""
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 2.0)
    await place.tool("tool")
    async with place.keeper("old", 0):
        await place.until("tool", "old")
        async with place.keeper("new", 1) as new:
            await place.until("tool", "new")
            await asyncio.sleep(10)  # the older one writes after 2 s and 4 s more
            await place.until("tool", "new", seconds=5)
            assert new.is_current
            accepted = place.writes().count("200")
            assert accepted <= 6, place.writes()
        await place.until("tool", "old", seconds=12)  # an upgrade that was taken back


async def test_what_somebody_else_wrote_is_put_right_at_once(place: Place) -> None:
    """By the youngest, with one write."""
    await place.tool("tool")
    async with place.keeper("one", 0), place.keeper("one", 1):
        await place.until("tool", "one")
        await asyncio.sleep(1)
        before = place.writes().count("200")
        await place.empty()
        await place.until("tool", "one", seconds=5)
        await asyncio.sleep(1)
        assert place.writes().count("200") == before + 1
