"""Namespaces can be deleted with the artifacts API in the cluster, as long as it answers; and what is seen when not."""

import asyncio
from pathlib import Path

import pytest

from devcluster import Cluster
from tests.cluster.fronted import API, APISERVICE, Fronted, fronted
from tests.cluster.rest import Object, RefusedError, condition, reason
from tests.collector.shelf import keep

pytestmark = [pytest.mark.node, pytest.mark.timeout(240)]


async def _delete(front: Fronted, name: str) -> str:
    """Makes a namespace with a file that is kept, begins to delete it, and returns its path."""
    await front.rest.namespace(name)
    await keep(front.store, name)
    path = f"/api/v1/namespaces/{name}"
    await front.rest.delete(path)
    return path


async def test_a_namespace_goes_unless_nobody_answers(node_cluster: Cluster, tmp_path: Path) -> None:
    """With us well, and with our storage broken; with us away it hangs, until the registration is removed."""
    async with fronted(node_cluster, tmp_path) as front:
        await front.rest.until_gone(await _delete(front, "kept-well"), seconds=60)
        assert (await front.rest.get(f"{API}/namespaces/kept-well/artifacts"))["items"]  # files outlive it

        path = await _delete(front, "kept-broken")
        (tmp_path / "store" / "kept-broken").rename(tmp_path / "away")
        (tmp_path / "store" / "kept-broken").write_text("no directory")
        await front.rest.until_gone(path, seconds=60)

        await front.stop()
        await front.rest.until(APISERVICE, lambda service: condition(service, "Available") == "False")
        with pytest.raises(RefusedError) as refused:
            await front.rest.get(f"{API}/namespaces/kept-well/artifacts")
        assert refused.value.status == 503
        path = await _delete(front, "kept-away")

        def hangs(namespace: Object) -> bool:
            return condition(namespace, "NamespaceDeletionDiscoveryFailure") == "True"

        hanging = await front.rest.until(path, hangs, seconds=60)
        assert reason(hanging, "NamespaceDeletionDiscoveryFailure")[0] == "DiscoveryFailed"
        assert "artifacts.toe.run/v1alpha1" in reason(hanging, "NamespaceDeletionDiscoveryFailure")[1]
        await asyncio.sleep(5)
        assert (await front.rest.get(path))["status"]["phase"] == "Terminating"
        await front.rest.delete(APISERVICE)
        await front.rest.until_gone(path, seconds=120)
