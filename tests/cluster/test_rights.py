"""Who asks and what he may, on a real API server: stamped by it, asked of it right before each injection."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from devcluster import Cluster
from tests.cluster.program import running
from tests.cluster.rest import Object, phase, reason, runs
from tests.cluster.stage import Stage, a_run, staged
from tests.cluster.toykubelet import ToyKubelet

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

HIGH = {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}, "runAsRoot": True}
TRACER = {"capabilities": {"drop": ["ALL"], "add": ["SYS_PTRACE"]}, "runAsRoot": True}
GROUP = "codriverlabs.ai.toe.run"


@pytest.fixture
async def scene(control_plane: Cluster) -> AsyncIterator[tuple[Stage, ToyKubelet]]:
    """A namespace of its own in which the user dev may create PowerTools, and nothing else."""
    async with staged(control_plane) as found:
        stage, _ = found
        await _grant(stage, "user", [{"apiGroups": [GROUP], "resources": ["powertools"], "verbs": ["create", "get"]}])
        yield found


async def test_the_caller_is_stamped_whatever_he_writes(scene: tuple[Stage, ToyKubelet]) -> None:
    """Name, groups and all; a forged requester is replaced, and never changes afterwards."""
    stage, _ = scene
    run = await _create(stage, "forged", "a", requester={"username": "system:admin", "groups": ["system:masters"]})
    assert run["spec"]["requester"]["username"] == "dev"
    assert run["spec"]["requester"]["groups"] == ["dev-team", "system:authenticated"]
    with pytest.raises(Exception, match="requester is immutable"):
        await stage.rest.merge(runs(stage.name, "forged"), {"spec": {"requester": {"username": "eve"}}})


async def test_a_dangerous_tool_needs_the_right_to_use_it(scene: tuple[Stage, ToyKubelet]) -> None:
    """Without it the run fails at once, saying what to ask for; with it the same run completes."""
    stage, _ = scene
    await stage.tool(security=HIGH)
    await stage.pod("a")
    async with running(stage.kubeconfig):
        await _create(stage, "denied", "a")
        denied = await stage.finished("denied")
        right = f"verb use on powertoolconfigs named {stage.name} in namespace {stage.name}"
        assert reason(denied, "Failed") == ("UseNotGranted", f"dev may not use {stage.name} here; ask for: {right}")
        await _grant_use(stage)
        await _create(stage, "granted", "a")
        assert phase(await stage.finished("granted")) == "Completed"
    assert len((await stage.tool_containers())["a"]) == 1


async def test_a_right_revoked_while_the_run_waits_stops_the_injection(scene: tuple[Stage, ToyKubelet]) -> None:
    """It is asked again right before the container is added."""
    stage, kubelet = scene
    await stage.tool(security=HIGH)
    await stage.pod("a")
    held = asyncio.Event()

    async def life(pod: Object, container: Object) -> int:
        await held.wait()
        return 0

    kubelet.life = life
    await _grant_use(stage)
    async with running(stage.kubeconfig):
        await stage.run("first", "a")
        await stage.rest.until(runs(stage.name, "first"), lambda r: phase(r) == "Running")
        await _create(stage, "second", "a")
        await stage.rest.until(runs(stage.name, "second"), lambda r: phase(r) == "Conflicted")
        await stage.rest.delete(_path(stage, "rolebindings", "use"))
        held.set()
        second = await stage.finished("second")
    assert reason(second, "Failed")[0] == "UseNotGranted"
    assert len((await stage.tool_containers())["a"]) == 1


async def test_a_pod_that_makes_a_tool_more_dangerous_needs_the_right(scene: tuple[Stage, ToyKubelet]) -> None:
    """SYS_PTRACE is Medium, and High where processes are shared: that pod is refused, the other one is not."""
    stage, _ = scene
    await stage.tool(security=TRACER)
    await stage.pod("plain")
    shared = await stage.pod("shared", shareProcessNamespace=True)
    async with running(stage.kubeconfig):
        await _create(stage, "mixed", "all")
        mixed = await stage.finished("mixed")
    states = {target["pod"]: (target["state"], target.get("reason")) for target in mixed["status"]["targets"]}
    assert states == {"plain": ("Succeeded", "Completed"), shared["metadata"]["name"]: ("Refused", "UseNotGranted")}


async def _create(stage: Stage, name: str, label: str, **spec: Any) -> Object:
    """Creates a run as dev."""
    as_dev = {"Impersonate-User": "dev", "Impersonate-Group": "dev-team"}
    run = a_run(name, stage.name, {label: "yes"}, **spec)
    return json.loads(await stage.rest.send("POST", runs(stage.name), {}, run, headers=as_dev))


async def _grant_use(stage: Stage) -> None:
    rules = [{"apiGroups": [GROUP], "resources": ["powertoolconfigs"], "resourceNames": [stage.name], "verbs": ["use"]}]
    await _grant(stage, "use", rules)


async def _grant(stage: Stage, name: str, rules: list[Object]) -> None:
    metadata = {"name": name, "namespace": stage.name}
    rbac = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": metadata, "rules": rules}
    binding = {
        "apiVersion": f"{rbac}/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
        "subjects": [{"apiGroup": rbac, "kind": "User", "name": "dev"}],
    }
    await stage.rest.apply(_path(stage, "roles", name), role)
    await stage.rest.apply(_path(stage, "rolebindings", name), binding)


def _path(stage: Stage, plural: str, name: str) -> str:
    return f"/apis/rbac.authorization.k8s.io/v1/namespaces/{stage.name}/{plural}/{name}"
