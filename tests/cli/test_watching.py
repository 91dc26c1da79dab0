"""A run is followed through everything that happens to a connection."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.cli.fakecluster import RUNS, FakeCluster, serving
from tests.cli.scene import a_run
from toe.cli.watching import versions
from toe.errors import ForbiddenError, NotFoundError
from toe.kube.access import Access, from_kubeconfig
from toe.kube.client import Client


async def seen(access: Access, cluster: FakeCluster, path: str, changes: list[str]) -> list[str]:
    """Follows a run while its phase changes; returns the phases in the order in which they came."""
    found: list[str] = []
    async with Client(access) as client, aclosing(versions(client, "shop", "k7")) as runs:
        async for run in runs:
            found.append(run.status.phase or "")
            if not changes:
                break
            if (change := changes.pop(0)) == "cut":
                cluster.cut_watches()
                change = changes.pop(0)
            cluster.status(path, phase=change)
    return found


@pytest.fixture
def access(cluster: FakeCluster, tmp_path: Path):  # type: ignore[no-untyped-def]
    """Leads to the fake cluster."""
    with serving(cluster, tmp_path) as kubeconfig:
        yield from_kubeconfig((kubeconfig,))


async def test_every_version_comes_in_order(cluster: FakeCluster, access: Access) -> None:
    """The first as it is, the others as they are written."""
    path = a_run(cluster, "k7", phase="Pending")
    assert await seen(access, cluster, path, ["Running", "Completed"]) == ["Pending", "Running", "Completed"]


async def test_a_cut_connection_loses_no_change_and_repeats_none(cluster: FakeCluster, access: Access) -> None:
    """What came meanwhile is read, what is known already is not told again."""
    path = a_run(cluster, "k7", phase="Pending")
    changes = ["cut", "Running", "cut", "Completed"]
    assert await seen(access, cluster, path, changes) == ["Pending", "Running", "Completed"]


async def test_a_version_that_is_too_old_is_no_end(cluster: FakeCluster, access: Access) -> None:
    """410 in the middle of a watch: read again."""
    path = a_run(cluster, "k7", phase="Pending")
    gone = {"metadata": {"name": "k7"}, "code": 410, "reason": "Expired", "message": "too old"}

    async def later() -> None:
        await asyncio.sleep(0.2)
        for events in cluster._events:
            events.put(("ERROR", gone))
        await asyncio.sleep(0.2)
        cluster.status(path, phase="Completed")

    task = asyncio.create_task(later())
    assert await seen(access, cluster, path, ["Running"]) == ["Pending", "Running"]
    await task


async def test_a_run_that_is_deleted_ends_it(cluster: FakeCluster, access: Access) -> None:
    """NotFoundError, whether the watch tells it or the next read."""
    a_run(cluster, "k7", phase="Pending")
    async with Client(access) as client, aclosing(versions(client, "shop", "k7")) as runs:
        await anext(runs)
        await _deleted(cluster)
        with pytest.raises(NotFoundError):
            await asyncio.wait_for(anext(runs), 10)


async def _deleted(cluster: FakeCluster) -> None:
    obj = cluster.objects.pop(f"{RUNS}/k7")
    for events in cluster._events:
        events.put(("DELETED", obj))


async def test_what_no_repetition_mends_is_told(cluster: FakeCluster, access: Access) -> None:
    """A missing right is not tried again for ever."""
    a_run(cluster, "k7")
    cluster.forbidden.add(("get", "powertools"))
    async with Client(access) as client:
        with pytest.raises(ForbiddenError):
            await anext(versions(client, "shop", "k7"))
