"""The catalog is kept equal to the configs, in the version that was seen."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from tests.builders import SETTINGS, a_config, judged
from tests.kube.scripted import Answer, Scripted, refuses, says
from toe.api.meta import ObjectMeta
from toe.api.powertoolcatalog import PowerToolCatalog, PowerToolCatalogSpec
from toe.kube.client import Client
from toe.plan.catalog import compile_catalog
from toe.policy.request import JudgedConfig
from toe.webhook import catalog as module
from toe.webhook.catalog import CatalogKeeper, change

META = ObjectMeta(name="catalog", namespace="toe-system", uid="u-1", resource_version="7")
EMPTY = PowerToolCatalog(metadata=META, spec=PowerToolCatalogSpec())
WANTED = compile_catalog(judged(a_config()))


class Following:
    """Stands for the collections that are followed: one config, and a catalog that may be gone."""

    def __init__(self, catalog: PowerToolCatalog | None) -> None:
        self.catalog = catalog
        self.catalogs = self

    async def synced(self) -> None:
        pass

    def get(self, namespace: str, name: str) -> PowerToolCatalog | None:
        return self.catalog

    def observe(self, catalog: PowerToolCatalog) -> None:
        self.catalog = catalog

    def judged(self) -> list[JudgedConfig]:
        return list(judged(a_config()))


async def _kept(catalog: PowerToolCatalog | None, answer: Answer, *, wakes: int = 0) -> tuple[CatalogKeeper, list[Any]]:
    """Keeps a catalog for half a second; returns the keeper and what was sent."""
    async with Scripted([answer]) as server, Client(server.access) as client:
        keeper = CatalogKeeper(client, SETTINGS)
        work = asyncio.create_task(keeper.run(Following(catalog)))  # type: ignore[arg-type]
        for _ in range(wakes):
            keeper.wake()
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.5)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        return keeper, [json.loads(asked.body) for asked in server.asked]


def _stored(spec: PowerToolCatalogSpec) -> Answer:
    meta = {"name": "catalog", "namespace": "toe-system", "uid": "u-1", "resourceVersion": "8"}
    return says({"metadata": meta, "spec": msgspec.to_builtins(spec)})


def test_a_change_is_whole_and_fails_on_any_other_version() -> None:
    """All tools are written, and somebody else's write in between is never overwritten unseen."""
    patch = change(EMPTY, WANTED)
    assert patch["metadata"] == {"uid": "u-1", "resourceVersion": "7"}
    assert [tool["name"] for tool in patch["spec"]["tools"]] == ["aperf"]
    assert change(EMPTY, PowerToolCatalogSpec())["spec"] == {"tools": ()}


async def test_what_differs_is_written_once() -> None:
    """And then it is current."""
    keeper, sent = await _kept(EMPTY, _stored(WANTED), wakes=20)
    assert keeper.is_current
    assert [tool["name"] for (patch,) in [sent] for tool in patch["spec"]["tools"]] == ["aperf"]


async def test_what_is_equal_is_not_written() -> None:
    """However often somebody looks."""
    equal = msgspec.structs.replace(EMPTY, spec=WANTED)
    keeper, sent = await _kept(equal, _stored(WANTED), wakes=20)
    assert (keeper.is_current, keeper.has_tried, sent) == (True, True, [])


async def test_a_catalog_that_is_gone_is_made() -> None:
    """While there is none, nobody in the cluster can add an ephemeral container."""
    keeper, (made,) = await _kept(None, _stored(WANTED), wakes=20)
    assert (keeper.is_current, keeper.has_tried) == (True, True)
    assert made["metadata"] == {"name": "catalog", "namespace": "toe-system"}
    assert [tool["name"] for tool in made["spec"]["tools"]] == ["aperf"]


async def test_another_replica_may_have_made_it() -> None:
    """Then the watch brings what it says, and nothing is overwritten."""
    keeper, sent = await _kept(None, refuses(409, "AlreadyExists"))
    assert (keeper.is_current, len(sent)) == (False, 1)


@pytest.mark.parametrize("answer", [refuses(422, "Invalid"), refuses(403, "Forbidden")])
async def test_a_write_that_is_refused_is_tried_again_ever_more_slowly(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drift is told, and nobody is stormed."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(module, "SPACING_SECONDS", 0.0)
    keeper, sent = await _kept(EMPTY, answer)
    assert not keeper.is_current
    assert 2 <= len(sent) <= 5


async def test_writes_keep_their_distance() -> None:
    """Two versions of toe that compile differently do not race, and many configs become few writes."""
    keeper, sent = await _kept(EMPTY, _stored(PowerToolCatalogSpec()), wakes=40)
    assert 1 <= len(sent) <= 3
    assert keeper.has_tried
