"""What the doctor tries attacks on is found, or is None."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.builders import APPROVED, NOW, SETTINGS, a_config, a_pod, judged
from tests.cli.fakecluster import FakeCluster, serving
from tests.cli.hospital import installed, listed
from tests.cli.scene import a_running_pod
from toe.api.settings import PROFILES, Settings
from toe.api.surroundings import Surroundings
from toe.cli import patient
from toe.cli.call import Call
from toe.cli.cluster import Cluster, access_of
from toe.cli.screen import Screen
from toe.kube.client import Client
from toe.plan.catalog import compile_catalog
from toe.policy.attempts import Scene

PLAIN = a_config({"name": "plain"}, name="plain")
LOCAL = a_config({"name": "local"}, name="local", allowedNamespaces=["elsewhere"])
DEEP = a_config(
    {**APPROVED, "name": "deep"}, name="deep", security={"allowPrivileged": True}, allowedNamespaces=["shop"]
)


class _NoScreen(Screen):
    def __init__(self) -> None:
        """Prints nothing."""


def _scene(fake: FakeCluster, place: Path, *configs: Any, settings: Settings = SETTINGS) -> Scene:
    """Looks for a scene in a fake cluster, with these tools in configs and catalog."""

    def now() -> datetime:
        return NOW

    async def look(kubeconfig: Path) -> Scene:
        around = Surroundings(environment={"KUBECONFIG": str(kubeconfig)}, home=str(place), is_plugin=True)
        call = Call(around, now, _NoScreen())
        access = access_of(call)
        async with Client(access) as client:
            cluster = Cluster(call, access, client)
            cluster.settings = settings
            found = judged(*configs)
            return await patient.scene(cluster, found, compile_catalog(found))

    with serving(fake, place) as kubeconfig:
        return asyncio.run(look(kubeconfig))


def _pods(fake: FakeCluster, *pods: Any) -> None:
    listed(fake, "/api/v1/pods", *pods)


@pytest.fixture
def fake(cluster: FakeCluster) -> FakeCluster:
    """Everything is installed."""
    installed(cluster)
    return cluster


def test_a_pod_that_a_tool_may_join_is_found_with_its_container(fake: FakeCluster, tmp_path: Path) -> None:
    """The one with a volume, where Pod Security enforces nothing, is best."""
    strict = {"name": "strict", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    listed(fake, "/api/v1/namespaces", {"metadata": {"name": "shop"}}, {"metadata": strict})
    volumes = [{"name": "scratch"}]
    _pods(
        fake,
        a_running_pod("in-strict", metadata={"namespace": "strict", "uid": "a"}, spec={"volumes": volumes}),
        a_running_pod("bare", metadata={"uid": "b"}),
        a_running_pod("best", metadata={"uid": "c"}, spec={"volumes": volumes}),
    )
    aim = _scene(fake, tmp_path, PLAIN).aim
    assert aim is not None
    assert (aim.namespace, aim.pod, aim.volumes) == ("shop", "best", ("scratch",))
    assert aim.container["name"].startswith("toe-plain-")


def test_special_pods_are_found_for_special_attacks(fake: FakeCluster, tmp_path: Path) -> None:
    """With hostPID, full of tools, where a tool is not allowed, and where none is."""
    full = [{"name": f"toe-{number}"} for number in range(16)]
    _pods(
        fake,
        a_running_pod("node", metadata={"uid": "a"}, spec={"hostPID": True}),
        a_running_pod("full", metadata={"uid": "b"}, spec={"ephemeralContainers": full}),
        a_running_pod("web", metadata={"uid": "e"}),
        a_running_pod("own", metadata={"uid": "c", "namespace": "toe-system"}),
        a_running_pod("proxy", metadata={"uid": "d", "namespace": "kube-system"}),
    )
    scene = _scene(fake, tmp_path, PLAIN, LOCAL)
    assert scene.aim is not None
    assert scene.aim.pod == "web"
    assert scene.host_pid is not None
    assert scene.host_pid.pod == "node"
    assert scene.full is not None
    assert scene.full.pod == "full"
    assert scene.foreign is not None
    assert scene.foreign.container["name"].startswith("toe-local-")
    assert scene.uncovered == ("toe-system", "own")
    assert scene.place == "shop"
    assert scene.config is not None


def test_nothing_is_found_where_nothing_is(fake: FakeCluster, tmp_path: Path) -> None:
    """No pod, no run, no other namespace; and pods that this program does not understand are left out."""
    _pods(fake, {"metadata": {"name": 7}})
    listed(fake, "/api/v1/namespaces", {"metadata": {"name": "kube-system"}})
    scene = _scene(fake, tmp_path, PLAIN)
    found = (scene.aim, scene.host_pid, scene.full, scene.foreign, scene.uncovered, scene.run, scene.namespace)
    assert found == (None,) * 7
    assert scene.place == ""


def test_a_tool_of_another_catalog_a_closed_namespace_and_a_privileged_tool_are_left_out(
    fake: FakeCluster, tmp_path: Path
) -> None:
    """What the fence would refuse anyway proves nothing."""
    _pods(fake, a_running_pod("shop-1", metadata={"uid": "a"}))
    assert _scene(fake, tmp_path, DEEP).aim is None
    assert _scene(fake, tmp_path, PLAIN, settings=PROFILES["hardened"]).aim is None
    listed(fake, "/api/v1/namespaces", {"metadata": {"name": "shop", "labels": {"toe.run/tools": "enabled"}}})
    assert _scene(fake, tmp_path, PLAIN, settings=PROFILES["hardened"]).aim is not None
    strict = {"name": "shop", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    listed(fake, "/api/v1/namespaces", {"metadata": strict})
    traced = a_config({"name": "t"}, name="t", security={"capabilities": {"drop": ["ALL"], "add": ["SYS_PTRACE"]}})
    assert _scene(fake, tmp_path, traced).aim is None


def test_a_run_is_found_for_its_status(fake: FakeCluster, tmp_path: Path) -> None:
    """Any of them."""
    metadata = {"name": "mine", "namespace": "shop"}
    listed(fake, "/apis/codriverlabs.ai.toe.run/v1alpha1/powertools", {"metadata": metadata})
    assert _scene(fake, tmp_path, PLAIN).run == ("shop", "mine")


def test_the_pods_of_the_builders_are_understood() -> None:
    """The fakes and the production types agree."""
    assert msgspec.convert(a_running_pod("x", metadata={"uid": "u"}), type(a_pod())).metadata.name == "x"
