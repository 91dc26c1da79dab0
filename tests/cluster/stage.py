"""A place for one test of the controller: a namespace with pods that a toy kubelet plays, and a tool of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from devcluster import Cluster
from tests.cluster.rest import GROUP, Object, RefusedError, Rest, condition, configs, is_finished, pods, runs, tools_in
from tests.cluster.toykubelet import ToyKubelet, a_pod
from toe.api.crd import KINDS, custom_resource_definition
from toe.api.fence.requester import stamp

_numbers = count(1)


async def install(rest: Rest) -> None:
    """Makes the API server know PowerTools and PowerToolConfigs, and stamp who asks, as the product ships them."""
    collection = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for kind in KINDS:
        definition = custom_resource_definition(kind)
        await rest.apply(f"{collection}/{definition['metadata']['name']}", definition)
    for kind in KINDS:
        name = custom_resource_definition(kind)["metadata"]["name"]
        await rest.until(f"{collection}/{name}", lambda crd: condition(crd, "Established") == "True")
    await rest.namespace("toe-system")
    policies = "/apis/admissionregistration.k8s.io/v1"
    for policy in stamp():
        plural = {"MutatingAdmissionPolicy": "policies", "MutatingAdmissionPolicyBinding": "policybindings"}
        place = f"{policies}/mutatingadmission{plural[policy['kind']]}/{policy['metadata']['name']}"
        await rest.apply(place, policy)
    await _stamped(rest)


async def _stamped(rest: Rest) -> None:
    """Waits until the stamp is in force: a new policy takes a moment, and longer where it is about a new kind."""
    async with asyncio.timeout(60):
        while True:
            try:
                probe = await rest.create(runs("toe-system"), a_run("stamped", "any", {"any": "yes"}), dryRun="All")
                if probe["spec"].get("requester"):
                    return
            except RefusedError as refused:
                if refused.status != 503:  # the policy does not find the kind yet
                    raise
            await asyncio.sleep(0.1)


def a_config(name: str, **spec: Any) -> Object:
    """Is a PowerToolConfig as an administrator writes it."""
    return {
        "apiVersion": GROUP,
        "kind": "PowerToolConfig",
        "metadata": {"name": name, "namespace": "toe-system"},
        "spec": {
            "name": name,
            "image": "registry.example/tool:1",
            "security": {"capabilities": {"drop": ["ALL"]}},
            "command": ["tool"],
            **spec,
        },
    }


def a_run(name: str, tool: str, labels: dict[str, str], duration: str = "5s", **spec: Any) -> Object:
    """Is a PowerTool as a user writes it."""
    return {
        "apiVersion": GROUP,
        "kind": "PowerTool",
        "metadata": {"name": name},
        "spec": {
            "targets": {"labelSelector": {"matchLabels": labels}},
            "tool": {"name": tool, "duration": duration},
            **spec,
        },
    }


class Stage:
    """Is a namespace and a tool of the same name, and what tests do with them."""

    def __init__(self, rest: Rest, kubeconfig: Path, name: str) -> None:
        self.rest = rest
        self.kubeconfig = kubeconfig
        self.name = name

    async def tool(self, **spec: Any) -> None:
        """Writes, or changes, the tool's config."""
        await self.rest.apply(configs(self.name), a_config(self.name, **spec))

    async def pod(self, name: str, *labels: str, running: bool = True, **spec: Any) -> Object:
        """Makes a pod with these labels, and waits until the kubelet reports it as running."""
        made = a_pod(name, dict.fromkeys(("all", name, *labels), "yes"), **spec)
        pod = await self.rest.create(pods(self.name), made)
        if running:
            pod = await self.rest.until(pods(self.name, name), lambda p: p["status"].get("phase") == "Running")
        return pod

    async def run(self, name: str, label: str, **spec: Any) -> Object:
        """Makes a run of the tool on the pods with this label."""
        return await self.rest.create(runs(self.name), a_run(name, self.name, {label: "yes"}, **spec))

    async def finished(self, name: str, *, seconds: float = 60.0) -> Object:
        """Waits until a run is terminal."""
        return await self.rest.until(runs(self.name, name), is_finished, seconds=seconds)

    async def tool_containers(self) -> dict[str, list[str]]:
        """Is the names of the tool containers in each pod."""
        found = await self.rest.get(pods(self.name))
        return {pod["metadata"]["name"]: [c["name"] for c in tools_in(pod)] for pod in found["items"]}

    async def expect_one_tool_for_each_target(self) -> None:
        """Compares what is in the pods with what the runs say: the same containers, and no other one."""
        found = await self.rest.get(runs(self.name))
        expected: dict[str, list[str]] = {name: [] for name in await self.tool_containers()}
        for run in found["items"]:
            for target in run["status"].get("targets", ()):
                expected[target["pod"]].append(target["toolContainer"])
        assert {pod: sorted(names) for pod, names in (await self.tool_containers()).items()} == {
            pod: sorted(names) for pod, names in expected.items()
        }


@asynccontextmanager
async def staged(cluster: Cluster) -> AsyncIterator[tuple[Stage, ToyKubelet]]:
    """Is a stage that no other test uses, and its kubelet; nothing unfinished is left of it."""
    async with Rest.of(cluster.kubeconfig) as rest:
        await install(rest)
        name = await rest.namespace(f"stage-{next(_numbers)}")
        stage = Stage(rest, cluster.kubeconfig, name)
        await stage.tool()
        try:
            async with ToyKubelet(rest) as kubelet:
                yield stage, kubelet
        finally:
            await asyncio.gather(rest.delete(runs(name)), rest.delete(pods(name), grace=0), rest.delete(configs(name)))
