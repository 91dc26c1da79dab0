"""The catalog is kept equal to the configs, in the version that was seen."""

import asyncio
import itertools
import json
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import web

from tests.builders import NOW, SETTINGS, a_config, judged
from tests.kube.scripted import Answer, Scripted, refuses, says
from toe.api.meta import ObjectMeta
from toe.api.powertoolcatalog import PowerToolCatalog, PowerToolCatalogSpec, PowerToolCatalogStatus
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
    """Keeps a catalog for half a second; returns the keeper and what was sent, without what it told."""
    keeper, sent, _ = await _kept_and_told(catalog, answer, wakes=wakes)
    return keeper, sent


async def _kept_and_told(
    catalog: PowerToolCatalog | None, answer: Answer, *, wakes: int = 0
) -> tuple[CatalogKeeper, list[Any], list[Any]]:
    following = Following(catalog)

    async def stores(request: web.Request) -> web.StreamResponse:
        if not request.path.endswith("/status"):
            return await answer(request)
        assert following.catalog is not None
        status = msgspec.convert((await request.json())["status"], PowerToolCatalogStatus)
        told = msgspec.structs.replace(following.catalog, status=status)
        return web.Response(body=msgspec.json.encode(told))

    async with Scripted([stores]) as server, Client(server.access) as client:
        keeper = CatalogKeeper(client, SETTINGS, lambda: NOW)
        work = asyncio.create_task(keeper.run(following))  # type: ignore[arg-type]
        for _ in range(wakes):
            keeper.wake()
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.5)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        sent, told = (
            [json.loads(asked.body) for asked in server.asked if asked.path.endswith("/status") == is_status]
            for is_status in (False, True)
        )
        return keeper, sent, told


def _stored(spec: PowerToolCatalogSpec) -> Answer:
    meta = {"name": "catalog", "namespace": "toe-system", "uid": "u-1", "resourceVersion": "8"}
    return says({"metadata": meta, "spec": msgspec.to_builtins(spec)})


def test_a_change_is_whole_and_fails_on_any_other_version() -> None:
    """All tools are written, and somebody else's write in between is never overwritten unseen."""
    patch = change(EMPTY, WANTED, NOW)
    kept = patch["metadata"].pop("annotations")
    assert patch["metadata"] == {"uid": "u-1", "resourceVersion": "7"}
    assert kept == {"toe.run/kept-since": NOW.isoformat()}
    assert [tool["name"] for tool in patch["spec"]["tools"]] == ["aperf"]
    assert change(EMPTY, PowerToolCatalogSpec(), NOW)["spec"] == {"tools": (), "index": None}
    full = msgspec.structs.replace(EMPTY, spec=PowerToolCatalogSpec(index={"gone": 0}))
    assert change(full, WANTED, NOW)["spec"]["index"] == {"gone": None, "aperf": 0}


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


async def test_whether_it_is_current_is_a_condition_written_once() -> None:
    """In words that say why it is not; nobody writes while nothing changes."""
    equal = msgspec.structs.replace(EMPTY, spec=WANTED)
    *_, told = await _kept_and_told(equal, _stored(WANTED), wakes=20)
    (condition,) = (condition for (body,) in [told] for condition in body["status"]["conditions"])
    assert (condition["type"], condition["status"], condition["reason"]) == ("Current", "True", "Compiled")
    *_, told = await _kept_and_told(EMPTY, refuses(422, "Invalid"), wakes=5)
    (condition,) = (condition for (body,) in [told] for condition in body["status"]["conditions"])
    assert (condition["status"], condition["reason"]) == ("False", "NotWritten")
    assert condition["message"] == "refused with 422"
    assert told[0]["metadata"] == {"uid": "u-1", "resourceVersion": "7"}


async def test_who_leaves_it_to_another_tells_nothing() -> None:
    """That one tells; two would contradict each other for ever."""
    for catalog, answer in ((EMPTY, refuses(409, "Conflict")), (_by(NOW + timedelta(seconds=60)), _stored(WANTED))):
        keeper, _, told = await _kept_and_told(catalog, answer)
        assert (keeper.is_current, told) == (False, [])


async def test_a_catalog_that_is_gone_is_made() -> None:
    """While there is none, nobody in the cluster can add an ephemeral container."""
    keeper, (made,) = await _kept(None, _stored(WANTED), wakes=20)
    assert (keeper.is_current, keeper.has_tried) == (True, True)
    kept = made["metadata"].pop("annotations")
    assert made["metadata"] == {"name": "catalog", "namespace": "toe-system"}
    assert kept == {"toe.run/kept-since": NOW.isoformat()}
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
    """Many configs that are applied together become few writes."""
    keeper, sent = await _kept(EMPTY, _stored(PowerToolCatalogSpec()), wakes=40)
    assert 1 <= len(sent) <= 3
    assert keeper.has_tried


def _by(since: datetime) -> PowerToolCatalog:
    """Is a catalog that differs, as another process wrote it."""
    meta = msgspec.structs.replace(META, annotations={"toe.run/kept-since": since.isoformat()})
    return PowerToolCatalog(metadata=meta, spec=PowerToolCatalogSpec())


@pytest.mark.parametrize(("age", "writes"), [(-60, 1), (0, 1), (60, 0)])
async def test_what_a_younger_process_wrote_stands_for_a_while(age: int, writes: int) -> None:
    """What an older one wrote, or somebody else after our own write, is put right at once."""
    keeper, sent = await _kept(_by(NOW + timedelta(seconds=age)), _stored(WANTED), wakes=5)
    assert (keeper.is_current, len(sent)) == (writes == 1, writes)


async def test_patience_has_an_end_and_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The younger one may be gone, as after an upgrade that was taken back; while it is not, writes become rare."""
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(module, "SPACING_SECONDS", 0.0)
    younger = NOW + timedelta(minutes=1)

    moments: list[float] = []

    async def overwritten(request: web.Request) -> web.StreamResponse:
        if not request.path.endswith("/status"):
            moments.append(asyncio.get_running_loop().time())
        return web.json_response(_by(younger), dumps=lambda obj: msgspec.json.encode(obj).decode())

    async with Scripted([overwritten]) as server, Client(server.access) as client:
        keeper = CatalogKeeper(client, SETTINGS, lambda: NOW)
        moments.append(asyncio.get_running_loop().time())
        work = asyncio.create_task(keeper.run(Following(_by(younger))))  # type: ignore[arg-type]
        async with asyncio.timeout(20):
            while len(moments) < 5:
                await asyncio.sleep(0.005)
                keeper.wake()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    pauses = [after - before for before, after in itertools.pairwise(moments)]
    assert all(pause >= 0.05 * 2**number for number, pause in enumerate(pauses)), pauses
