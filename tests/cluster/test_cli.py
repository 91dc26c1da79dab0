"""``kubectl toe`` as a process, on a real API server, with the controller and a toy kubelet behind it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from devcluster import Cluster
from tests.builders import config_manifest, powertool_manifest
from tests.cluster.program import running
from tests.cluster.rest import Object, RefusedError, Rest, configs, phase, pods, runs
from tests.cluster.stage import Stage, a_config, a_run, staged
from tests.cluster.toykubelet import ToyKubelet, a_pod
from tests.cluster.toylogs import NODE, toy_logs
from tests.report.test_frames import framed

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

CODE = "from toe.main import kubectl_plugin; kubectl_plugin()"


class Ran(NamedTuple):
    """Is what a command line came to."""

    status: int
    out: str
    err: str


class Keyboard:
    """Is where a person types; the kubeconfig is the administrator's, the namespace the stage's."""

    def __init__(self, stage: Stage, directory: Path) -> None:
        self.stage, self.directory = stage, directory

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        """Starts a command line."""
        environment = {"KUBECONFIG": str(self.stage.kubeconfig), "PATH": os.environ["PATH"]}  # noqa: TID251
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-X", "utf8", "-c", CODE, "-n", self.stage.name, *words),
            env=environment,
            cwd=self.directory,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def type_in(self, *words: str) -> Ran:
        """Runs a command line to its end."""
        return await self.end(await self.start(*words))

    async def end(self, process: asyncio.subprocess.Process) -> Ran:
        """Waits for the end of one that was started."""
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(), err.decode())


@pytest.fixture
async def scene(control_plane: Cluster) -> AsyncIterator[tuple[Stage, ToyKubelet]]:
    """A namespace with a tool of the same name, and a kubelet that plays the pods in it."""
    async with staged(control_plane) as found:
        yield found


@pytest.fixture
def stage(scene: tuple[Stage, ToyKubelet]) -> Stage:
    """The namespace and its tool."""
    return scene[0]


@pytest.fixture
def keyboard(stage: Stage, tmp_path: Path) -> Keyboard:
    """A person in front of it."""
    return Keyboard(stage, tmp_path)


async def test_a_run_goes_from_the_command_line_to_its_end(stage: Stage, keyboard: Keyboard) -> None:
    """Created, followed, finished: exit status 0, a line for each change."""
    for name in ("a", "b"):
        await stage.pod(name)
    async with running(stage.kubeconfig):
        ran = await keyboard.type_in("run", stage.name, "-l", "all=yes", "--for", "1s")
    assert ran.status == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0].startswith(f"powertool/{stage.name}-")
    assert lines[0].endswith(f"created in {stage.name}: 2 pods")
    assert {line.split()[0] for line in lines if "Succeeded  exit 0" in line} == {"a", "b"}
    assert lines[-1].startswith("Completed in ")
    await stage.expect_one_tool_for_each_target()


async def test_the_exit_status_tells_a_part_from_all(scene: tuple[Stage, ToyKubelet], keyboard: Keyboard) -> None:
    """3 when one of two fails, 1 when the only one does."""
    stage, kubelet = scene
    for name in ("a", "b"):
        await stage.pod(name)

    async def life(pod: Object, container: Object) -> int:
        return 7 if pod["metadata"]["name"] == "b" else 0

    kubelet.life = life
    async with running(stage.kubeconfig):
        some = await keyboard.type_in("run", stage.name, "-l", "all=yes")
        none = await keyboard.type_in("run", stage.name, "-l", "b=yes")
    assert (some.status, none.status) == (3, 1)
    assert "ToolFailed: exit code 7" in some.out
    assert some.out.splitlines()[-1].endswith(", 1 of 2 pods.")


async def test_refused_arguments_create_nothing(stage: Stage, keyboard: Keyboard) -> None:
    """Told at once, with the field and what is accepted; exit status 2."""
    await stage.pod("a")
    await stage.tool(arguments={"options": [{"flag": "-n"}]})
    ran = await keyboard.type_in("run", stage.name, "-l", "all=yes", "--", "-z", "reboot")
    assert ran.status == 2
    assert f'error: {stage.name} does not accept "-z" here (spec.tool.args[0])\n' in ran.err
    assert ran.err.endswith("  it accepts: -n\n")
    assert (await stage.rest.get(runs(stage.name)))["items"] == []


async def test_what_only_the_controller_can_refuse_is_exit_status_2_as_well(stage: Stage, keyboard: Keyboard) -> None:
    """Somebody who may not read configs creates a run, and the controller refuses it."""
    await stage.pod("a")
    await _grant(stage.rest, stage.name, "may-run", "powertools", ["create", "get", "watch", "patch"])
    async with running(stage.kubeconfig):
        words = ("run", stage.name, "-l", "all=yes", "--as", "may-run", "--", "-z")
        ran = await keyboard.type_in(*words)
    assert ran.status == 2, ran
    assert "accepts no arguments here" in ran.out


async def _grant(rest: Rest, namespace: str, user: str, resource: str, verbs: list[str]) -> None:
    group = "" if resource.startswith("pods") else "codriverlabs.ai.toe.run"
    name = f"{user}-{resource.replace('/', '-')}"
    base = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    rule = {"apiGroups": [group], "resources": [resource], "verbs": verbs}
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name}}
    await rest.create(f"{base}/roles", {**kind, "kind": "Role", "rules": [rule]})
    binding = {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
    }
    await rest.create(f"{base}/rolebindings", {**kind, "kind": "RoleBinding", **binding})


async def test_somebody_without_rights_reads_what_to_ask_for(stage: Stage, keyboard: Keyboard) -> None:
    """Verb, resource and namespace, from the real server's own words."""
    for words, right in (
        (("tools",), "verb list on powertoolconfigs in namespace toe-system"),
        (("cancel", "x"), f"verb get on powertools in namespace {stage.name}"),
        (("run", stage.name, "-l", "a=b"), f"verb create on powertools in namespace {stage.name}"),
    ):
        ran = await keyboard.type_in(*words, "--as", "nobody")
        assert ran.status == 1
        assert ran.err.endswith(f"  ask for: {right}\n")


async def test_tools_says_who_lacks_the_right_to_run_them(stage: Stage, keyboard: Keyboard) -> None:
    """The server is asked, not guessed at."""
    ran = await keyboard.type_in("tools", "-o", "json")
    (own,) = [tool for tool in json.loads(ran.out) if tool["tool"] == stage.name]
    assert own["forYou"]
    await _grant(stage.rest, "toe-system", f"reader-{stage.name}", "powertoolconfigs", ["list"])
    ran = await keyboard.type_in("tools", "-o", "json", "--as", f"reader-{stage.name}")
    (own,) = [tool for tool in json.loads(ran.out) if tool["tool"] == stage.name]
    assert own["obstacles"] == [f"you lack the right: verb create on powertools in namespace {stage.name}"]


async def test_a_plan_changes_nothing(stage: Stage, keyboard: Keyboard) -> None:
    """Every pod, run, config and namespace has the resourceVersion that it had before."""
    for name in ("a", "b"):
        await stage.pod(name)
    before = await _versions(stage)
    ran = await keyboard.type_in("plan", stage.name, "-l", "all=yes")
    assert ran.status == 0, ran.err
    assert ran.out.count("allowed") == 3
    assert ran.err == "Nothing was changed.\n"
    assert await _versions(stage) == before


async def _versions(stage: Stage) -> dict[str, str]:
    found = {}
    for path in (pods(stage.name), runs(stage.name), configs()):
        for obj in (await stage.rest.get(path))["items"]:
            found[f"{path}/{obj['metadata']['name']}"] = obj["metadata"]["resourceVersion"]
    namespace = await stage.rest.get(f"/api/v1/namespaces/{stage.name}")
    return {**found, "namespace": namespace["metadata"]["resourceVersion"]}


async def test_what_was_planned_is_what_is_injected(stage: Stage, keyboard: Keyboard) -> None:
    """Field by field, but for the names and times that only a real run has."""
    await stage.pod("a")
    ran = await keyboard.type_in("plan", stage.name, "-l", "all=yes", "--for", "1s", "-o", "yaml")
    planned = yaml.safe_load(ran.out)[0]["pods"][0]["ephemeralContainer"]
    async with running(stage.kubeconfig):
        await keyboard.type_in("run", stage.name, "-l", "all=yes", "--for", "1s")
    pod = await stage.rest.get(pods(stage.name, "a"))
    (injected,) = pod["spec"]["ephemeralContainers"]
    late = {"TOE_RUN", "TOE_NOT_AFTER"}
    assert planned["securityContext"]["capabilities"].pop("add") == []  # the API server leaves empty lists out
    for container in (planned, injected):
        container["env"] = [variable for variable in container["env"] if variable["name"] not in late]
        container["name"] = container["name"][:-10]
    assert planned == {key: injected[key] for key in planned}


async def test_ctrl_c_cancels_and_a_second_one_leaves(scene: tuple[Stage, ToyKubelet], keyboard: Keyboard) -> None:
    """The run is canceled in the cluster; what goes on running is told, with its end."""
    stage, kubelet = scene
    await stage.pod("a")
    held = asyncio.Event()

    async def life(pod: Object, container: Object) -> int:
        await held.wait()
        return 0

    kubelet.life = life
    async with running(stage.kubeconfig):
        process = await keyboard.start("run", stage.name, "-l", "all=yes", "--name", "long", "--for", "60s")
        await stage.rest.until(runs(stage.name, "long"), lambda run: phase(run) == "Running")
        process.send_signal(signal.SIGINT)
        await stage.rest.until(runs(stage.name, "long"), lambda run: run["spec"].get("cancel") is True)
        process.send_signal(signal.SIGINT)
        ran = await keyboard.end(process)
        assert ran.status == 130
        assert "it ends at its duration, at the latest" in ran.err
        assert (await keyboard.type_in("cancel", "long")).out.startswith("long is canceled already\n")
        held.set()
        await stage.finished("long")
        assert (await keyboard.type_in("cancel", "long")).out.startswith("long is over already: Completed")


async def test_cancel_stops_a_run_that_waits(stage: Stage, keyboard: Keyboard) -> None:
    """Nothing was injected, nothing is."""
    async with running(stage.kubeconfig):
        created = await keyboard.type_in("run", stage.name, "-l", "all=yes", "--pending", "--name", "w", "--wait=false")
        assert created == (0, "w\n", "")
        assert (await keyboard.type_in("cancel", "w")).out == "w canceled: no tool is added any more\n"
        assert phase(await stage.finished("w")) == "Canceled"


async def test_a_server_that_is_not_there_is_told_soon(keyboard: Keyboard) -> None:
    """With the cause; not after half a minute."""
    ran = await keyboard.type_in("tools", "--server", "https://127.0.0.1:9")
    assert ran.status == 1
    assert "error: the cluster cannot be reached: no connection to https://127.0.0.1:9: Connection refused" in ran.err


async def test_files_come_through_the_api_server(control_plane: Cluster, stage: Stage, keyboard: Keyboard) -> None:
    """Framed by the tool, carried by the log, checked and saved; and the log without them."""
    content = bytes(range(256)) * 300
    async with toy_logs(control_plane, stage.rest) as node:
        await _finished_run(stage, "k7", "a")
        node.logs["toe-x-0123456789"] = [b"Sampling...", b"", *framed({"profile.folded": content}), b"done"]
        ran = await keyboard.type_in("get", "k7")
        assert ran.status == 0, ran.err
        assert ran.out == "a/profile.folded  75 KiB  sha256 ok\nsaved under k7/\n"
        assert (keyboard.directory / "k7/a/profile.folded").read_bytes() == content
        assert (await keyboard.type_in("logs", "k7")).out == "Sampling...\n\ndone\n"
        assert (await keyboard.type_in("logs", "k7", "-f")).out == "Sampling...\n\ndone\n"
    ran = await keyboard.type_in("get", "k7", "--request-timeout", "2s")
    assert ran.status == 1
    assert "error: missing: a: its log cannot be read" in ran.err


async def test_a_followed_log_survives_a_cut(control_plane: Cluster, stage: Stage, keyboard: Keyboard) -> None:
    """No line is lost and none is said twice, though the connection broke twice."""
    async with toy_logs(control_plane, stage.rest) as node:
        await _finished_run(stage, "k7", "a")
        node.logs["toe-x-0123456789"] = [b"one", b"two", 0.2, b"three", b"", b"four"]
        node.cuts = 2
        ran = await keyboard.type_in("logs", "k7", "-f")
    assert ran == (0, "one\ntwo\nthree\n\nfour\n", "")


async def _finished_run(stage: Stage, name: str, pod: str) -> None:
    """Makes a pod of the node with logs, and a run whose status says that its tool ended there."""
    made = await stage.rest.create(pods(stage.name), a_pod(pod, {"app": "x"}, nodeName=NODE))
    tool = {"name": "toe-x-0123456789", "image": "x", "targetContainerName": "app"}
    await stage.rest.merge(pods(stage.name, pod, "ephemeralcontainers"), {"spec": {"ephemeralContainers": [tool]}})
    await stage.rest.create(runs(stage.name), a_run(name, stage.name, {"app": "x"}))
    target = {"pod": pod, "podUID": made["metadata"]["uid"], "container": "app", "toolContainer": tool["name"]}
    over = {
        "type": "Finished",
        "status": "True",
        "reason": "Completed",
        "message": "over",
        "lastTransitionTime": "2026-03-01T12:00:00Z",
    }
    status = {"phase": "Completed", "targets": [{**target, "state": "Succeeded"}], "conditions": [over]}
    await stage.rest.merge(runs(stage.name, name, "status"), {"status": status})


BAD: tuple[tuple[str, dict[str, Any]], ...] = (
    ("a run", powertool_manifest()),
    ("a config", config_manifest()),
    ("a security field of a user", powertool_manifest(privileged=True)),
    ("an image of a user", powertool_manifest(image="x")),
    ("an empty selector", powertool_manifest(targets={"labelSelector": {"matchLabels": None}})),
    ("a short duration", powertool_manifest(tool={"duration": "10ms"})),
    ("a duration in words", powertool_manifest(tool={"duration": "soon"})),
    ("too many arguments", powertool_manifest(tool={"args": ["x"] * 65})),
    ("an unknown field", powertool_manifest(nonsense=1)),
    ("no security", config_manifest(security=None)),
    ("two securities", config_manifest(securityContext={})),
    ("supervised without a command", config_manifest(supervised=True, command=None)),
    ("a wildcard namespace", config_manifest(allowedNamespaces=["team-*"])),
    ("a user and root", config_manifest(security={"runAsRoot": True, "runAsUser": 1, "runAsGroup": 1})),
    ("the same flag twice", config_manifest(arguments={"options": [{"flag": "-n"}, {"flag": "-n"}]})),
)


@pytest.mark.parametrize("manifest", [pytest.param(manifest, id=name) for name, manifest in BAD])
async def test_lint_and_the_api_server_agree(stage: Stage, keyboard: Keyboard, manifest: dict[str, Any]) -> None:
    """What lint accepts is created; what it refuses, the API server refuses about the same fields."""
    file = keyboard.directory / "manifest.yaml"
    file.write_text(yaml.safe_dump(manifest))
    ran = await keyboard.type_in("lint", str(file), "-o", "json")
    told = {remark["field"].partition("[")[0] for remark in json.loads(ran.out) if remark["kind"] == "problem"}
    sent = {**manifest, "metadata": {"generateName": "lint-"}}
    path = runs(stage.name) if manifest["kind"] == "PowerTool" else configs(namespace=stage.name)
    try:
        await stage.rest.create(path, sent, dryRun="All", fieldValidation="Strict")
        refused = ""
    except RefusedError as error:
        refused = error.message
    assert (ran.status == 0) == (refused == ""), refused
    assert all(field.rpartition(".")[2] in refused for field in told), (told, refused)


async def test_lint_accepts_what_the_controller_uses(stage: Stage, keyboard: Keyboard) -> None:
    """The tests' own config and run."""
    file = keyboard.directory / "all.yaml"
    file.write_text(yaml.safe_dump_all([a_config(stage.name), a_run("x", stage.name, {"app": "x"})]))
    assert (await keyboard.type_in("lint", str(file))).status == 0
