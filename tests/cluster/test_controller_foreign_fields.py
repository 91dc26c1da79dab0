"""1,000 random PowerTools with foreign fields at every depth: nothing of a user's changes what is rendered."""

import asyncio
import random
from collections.abc import AsyncIterator
from copy import deepcopy
from typing import Any

import pytest

from devcluster import Cluster
from tests.cluster.program import running
from tests.cluster.rest import Object, RefusedError, pods, runs, tools_in
from tests.cluster.stage import Stage, a_run, staged
from tests.cluster.toykubelet import ToyKubelet

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(500)]

RUNS = 1000
PODS = 100
IN_A_POD = 16

KEYS = (
    *("security", "securityContext", "image", "command", "env", "volumes", "privileged", "hostPID", "resources"),
    *("serviceAccountName", "podSpecPatch", "runAsUser", "runAsRoot", "capabilities", "allowPrivileged", "hostNetwork"),
    *("ephemeralContainers", "containers", "initContainers", "template", "spec", "patch", "overrides", "supervised"),
    *(
        "defaultArgs",
        "allowedNamespaces",
        "namespace",
        "imagePullPolicy",
        "seccompProfile",
        "volumeMounts",
        "x",
        "Image",
    ),
    *("TOE_LIMITS", "__proto__", "$ref", "arguments", "limits", "config", "envFrom", "hostIPC", "stdin", "tty"),
)
VALUES: tuple[Any, ...] = (
    *(True, 0, 1, "root", "docker.io/evil:1", "SYS_ADMIN", "0", "", [], {}, "hostPath"),
    {"privileged": True},
    {"capabilities": {"add": ["SYS_ADMIN"]}},
    {"runAsUser": 0, "runAsNonRoot": False},
    [{"name": "LD_PRELOAD", "value": "/evil.so"}],
    ["sh", "-c", "id"],
    {"securityContext": {"privileged": True, "seccompProfile": {"type": "Unconfined"}}},
    [{"name": "root", "hostPath": {"path": "/"}}],
)
WORDS = ("-v", "--x", "$(TOE_RUN)", "$$", "a b", "sh", "{output}", "@file", "|id", "ü", "--", "-c5", "'\"`;")


def with_foreign_fields(run: Object, chance: random.Random) -> Object:
    """Puts one to four foreign fields anywhere below spec, status and metadata, the deeper the rarer."""
    for _ in range(chance.randint(1, 4)):
        place: Any = run if chance.random() < 0.15 else run[chance.choice(("spec", "spec", "spec", "metadata"))]
        while isinstance(place, dict) and (inner := [v for v in place.values() if isinstance(v, dict) and v]):
            if chance.random() < 0.4:
                break
            place = chance.choice(inner)
        if isinstance(place, dict) and "yes" not in place.values():  # a label is no foreign field: it selects
            place.setdefault(chance.choice(KEYS), deepcopy(chance.choice(VALUES)))
    return run


@pytest.fixture
async def scene(control_plane: Cluster) -> AsyncIterator[tuple[Stage, ToyKubelet]]:
    """A namespace of its own, with a tool, and a kubelet."""
    async with staged(control_plane) as found:
        yield found


async def test_nothing_of_a_user_changes_the_container(scene: tuple[Stage, ToyKubelet]) -> None:
    """Each added container equals the empty run's, but for its name, its args and the values of operator variables."""
    stage, kubelet = scene
    await stage.tool(
        arguments={"any": True},
        env=[{"name": "ADMIN", "value": "$(TOE_RUN)"}],
        security={"capabilities": {"drop": ["ALL"], "add": ["SYS_PTRACE"]}, "runAsRoot": True},
        limits={"maxConcurrentPerPod": IN_A_POD},
    )
    await asyncio.gather(*(stage.pod(f"pod-{number}") for number in range(PODS)))
    kubelet.stopped = True
    chance = random.Random(20260301)
    await stage.run("empty", "pod-0")
    manifests = []
    for number in range(RUNS):
        manifest = a_run(f"run-{number}", stage.name, {f"pod-{number % PODS}": "yes"})
        words = chance.sample(WORDS, chance.randint(0, 4))
        manifest["spec"]["tool"] |= {"args": words, "duration": f"{chance.randint(1, 600)}s"}
        manifests.append(with_foreign_fields(manifest, chance))
    answers = await asyncio.gather(*(post(stage, manifest) for manifest in manifests))
    accepted = [manifest["metadata"]["name"] for manifest, status in zip(manifests, answers, strict=True) if not status]
    assert set(answers) <= {0, 400, 422}
    # Both kinds are there in numbers: fields the API server refuses, and fields it prunes.
    assert 200 < len(accepted) < 900, len(accepted)
    async with running(stage.kubeconfig, "--max-containers-per-pod", str(IN_A_POD)):
        await kubelet.saw(stage.name, len(accepted) + 1, seconds=400)
    found = await stage.rest.get(pods(stage.name))
    containers = {env_of(c)["TOE_RUN"]: c for pod in found["items"] for c in tools_in(pod)}
    assert sorted(containers) == sorted(["empty", *accepted])
    assert sum(len(tools_in(pod)) for pod in found["items"]) == len(accepted) + 1
    expected = face(containers["empty"])
    assert [(name, face(c)) for name, c in containers.items() if face(c) != expected] == []
    by_name = {manifest["metadata"]["name"]: manifest for manifest in manifests}
    for name in accepted:
        words = by_name[name]["spec"]["tool"]["args"]
        assert containers[name].get("args", []) == [word.replace("$", "$$") for word in words]


async def post(stage: Stage, manifest: Object) -> int:
    """Creates a run as an old or careless client does, which is told of no unknown field; returns 0 or the refusal."""
    try:
        await stage.rest.create(runs(stage.name), manifest, fieldValidation="Ignore")
    except RefusedError as refused:
        return refused.status
    return 0


def env_of(container: Object) -> dict[str, str]:
    """Is a container's environment by name."""
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


def face(container: Object) -> Object:
    """Is everything of a container that a user must not reach."""
    env = env_of(container)
    return {
        **{key: value for key, value in container.items() if key not in ("name", "args")},
        "env": [(name, "" if name.startswith("TOE_") else value) for name, value in env.items()],
    }
