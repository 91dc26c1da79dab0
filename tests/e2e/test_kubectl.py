"""With kubectl only: what an administrator and a user type, and what they read."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from devcluster import DevClusterError
from tests.cluster.program import Program
from tests.cluster.rest import Object, is_finished, phase, pods, reason, runs, tools_in
from tests.cluster.stage import a_run
from tests.e2e.conftest import TOP, Node
from tests.e2e.test_life import TARGET

pytestmark = [pytest.mark.node, pytest.mark.timeout(180)]

SOURCE = TOP / "tests/manifests/source"
TOGETHER = ("aperf-config", "basic-tool-config", "system-analyzer-config", "privileged-tool-config")
"""The source document's configs but for the profiling profile, which shares its tool name with the sample."""

OPERATOR_ENV = [
    *("TOE_RUN", "TOE_TOOL", "TOE_NAMESPACE", "TOE_POD", "TOE_CONTAINER", "TOE_CONTAINER_ID", "TOE_DURATION"),
    *("TOE_WARMUP", "TOE_GRACE", "TOE_NOT_AFTER", "TOE_STOP_SIGNAL", "TOE_LIMITS", "TOE_MODE", "TOE_OUTPUT"),
    "TOE_SUMMARY_MAX",
]
UNPRIVILEGED: Object = {
    "privileged": False,
    "allowPrivilegeEscalation": False,
    "runAsUser": 1001,
    "runAsGroup": 1001,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINERS: dict[str, Object] = {
    "aperf": {
        "image": "localhost:32000/toe/aperf:v1.0.5",
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {**UNPRIVILEGED, "capabilities": {"add": ["SYS_PTRACE"], "drop": ["ALL"]}},
    },
    "basic-tool": {
        "image": "registry/basic-tool:latest",
        "imagePullPolicy": "Always",
        "securityContext": {**UNPRIVILEGED, "capabilities": {"drop": ["ALL"]}},
    },
    "system-analyzer": {
        "image": "registry/system-analyzer:latest",
        "imagePullPolicy": "Always",
        "securityContext": {
            **UNPRIVILEGED,
            "capabilities": {"add": ["SYS_PTRACE", "SYS_ADMIN", "NET_ADMIN"], "drop": ["ALL"]},
        },
    },
    "kernel-debugger": {
        "image": "registry/kernel-debugger:latest",
        "imagePullPolicy": "Always",
        "securityContext": {
            "privileged": True,
            "allowPrivilegeEscalation": True,
            "runAsUser": 1001,
            "runAsGroup": 1001,
            "runAsNonRoot": True,
            "capabilities": {},
        },
    },
}


@pytest.fixture(scope="module")
async def source(node: Node, controller: Program) -> AsyncIterator[None]:
    """The source document's configs, applied as they are written."""
    for name in TOGETHER:
        await node.kubectl("apply", "-n", "toe-system", "-f", str(SOURCE / f"{name}.yaml"))
    yield
    await node.kubectl("delete", "-n", "toe-system", *(f"ptc/{name}" for name in TOGETHER))


@pytest.fixture(scope="module")
async def place(node: Node, controller: Program) -> AsyncIterator[str]:
    """A namespace with one pod for each tool of the source document, and one for the probe."""
    await node.tool("asked", arguments={"options": [{"flag": "-n", "value": {"integer": {"min": 1, "max": 9}}}]})
    await node.tool("works", command=["/probe", "sleep"], arguments={"any": True})
    await node.tool("elsewhere", allowedNamespaces=["production", "staging"])
    namespace = await node.namespace(labels={"toe.run/allow-privileged-tools": "true"})
    await asyncio.gather(*(node.pod(namespace, name, TARGET) for name in (*CONTAINERS, "probed", "described")))
    yield namespace
    await node.rest.delete(f"/api/v1/namespaces/{namespace}")


async def apply(node: Node, namespace: str, run: Object) -> str:
    """Types ``kubectl apply -f -``."""
    return await node.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(run))


async def refused(node: Node, namespace: str, run: Object) -> str:
    """Is what kubectl says to somebody whose manifest is refused."""
    with pytest.raises(DevClusterError) as caught:
        await apply(node, namespace, run)
    return caught.value.message


# The source document


async def test_the_source_documents_configs_are_ready(node: Node, source: None) -> None:
    """Applied with -n toe-system as they are written, each becomes Ready, with its tier in a column."""
    names = [f"ptc/{name}" for name in TOGETHER]
    await node.kubectl("wait", "-n", "toe-system", "--for=condition=Ready", *names, "--timeout=20s")
    table = await node.kubectl("get", "ptc", "-n", "toe-system")
    header, *lines = table.splitlines()
    assert header.split() == ["NAME", "TOOL", "TIER", "NEEDS", "READY", "AGE"]
    rows = {line.split()[0]: line.split()[1:5] for line in lines}
    assert rows["privileged-tool-config"] == ["kernel-debugger", "Extreme", "privileged", "True"]
    assert rows["basic-tool-config"][2:] == ["restricted", "True"]
    assert rows["aperf-config"][0] == "aperf"


@pytest.mark.parametrize("tool", CONTAINERS)
async def test_the_container_is_the_configs_field_by_field(node: Node, source: None, place: str, tool: str) -> None:
    """Read back from the pod: image, the whole security context, target, environment; no command and no args."""
    await apply(node, place, a_run(f"source-{tool}", tool, {"pod": tool}))
    pod = await node.rest.until(pods(place, tool), lambda pod: bool(tools_in(pod)), seconds=30)
    pod = await node.kubectl_json("get", "pod", "-n", place, tool)
    (container,) = pod["spec"]["ephemeralContainers"]
    env = container.pop("env")
    assert [entry["name"] for entry in env] == OPERATOR_ENV
    assert all(set(entry) <= {"name", "value"} for entry in env)
    assert container.pop("name").startswith(f"toe-{tool}-")
    assert container == {
        **CONTAINERS[tool],
        "targetContainerName": "app",
        # What the API server adds to every container.
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }


async def test_a_privileged_tool_needs_the_namespaces_consent(node: Node, source: None) -> None:
    """Without the label on the namespace: refused at once, in the words of the document."""
    namespace = await node.namespace()
    await node.pod(namespace, "target", TARGET)
    await apply(node, namespace, a_run("debug", "kernel-debugger", {"pod": "target"}))
    await node.kubectl("wait", "-n", namespace, "--for=condition=Failed", "pt/debug", "--timeout=30s")
    run = await node.kubectl_json("get", "pt", "-n", namespace, "debug")
    assert reason(run, "Failed") == ("PrivilegedNotAllowed", "Privileged containers are not allowed")
    assert run["status"]["lastError"] == "Privileged containers are not allowed"
    await node.rest.delete(f"/api/v1/namespaces/{namespace}")


async def test_a_name_that_two_configs_hold_is_used_by_neither(node: Node, source: None) -> None:
    """The sample and the profiling profile share a tool name: a run waits until one of them is gone, then starts."""
    namespace = await node.namespace()
    await node.pod(namespace, "target", TARGET)
    await node.kubectl("apply", "-n", "toe-system", "-f", str(SOURCE / "profiler-config.yaml"))
    try:
        await node.kubectl(
            *("wait", "-n", "toe-system", "--for=condition=Ready=false", "ptc/aperf-config", "ptc/profiler-config"),
            "--timeout=20s",
        )
        await apply(node, namespace, a_run("which", "aperf", {"pod": "target"}))
        waiting = await node.until(namespace, "which", lambda run: reason(run, "Accepted")[0] == "AmbiguousTool")
        assert phase(waiting) == "Pending"
        assert "aperf-config, profiler-config" in reason(waiting, "Accepted")[1]
    finally:
        await node.kubectl("delete", "-n", "toe-system", "ptc/profiler-config")
    await node.rest.until(pods(namespace, "target"), lambda pod: bool(tools_in(pod)), seconds=30)
    await node.kubectl("wait", "-n", "toe-system", "--for=condition=Ready", "ptc/aperf-config", "--timeout=20s")
    await node.rest.delete(f"/api/v1/namespaces/{namespace}")


# Refusals, as they are read


async def test_messages_read_exactly_so(node: Node, place: str) -> None:
    """The sentences that other documents quote."""
    await apply(node, place, a_run("unknown", "qqqqqq", {"pod": "probed"}))
    run = await node.until(place, "unknown", lambda run: reason(run, "Accepted")[0] == "ToolNotFound")
    assert reason(run, "Accepted")[1] == "PowerToolConfig not found for tool: qqqqqq"
    await apply(node, place, a_run("not-here", "elsewhere", {"pod": "probed"}))
    run = await node.finished(place, "not-here")
    told = (
        f"PowerTool namespace '{place}' is not allowed for tool 'elsewhere'. Allowed namespaces: [production staging]"
    )
    assert reason(run, "Failed") == ("NamespaceNotAllowed", told)
    await node.kubectl("delete", "pt", "-n", place, "unknown")


async def test_a_user_who_writes_security_is_told_whose_it_is(node: Node, place: str) -> None:
    """All at once, each with its field."""
    run = a_run("pushy", "works", {"pod": "probed"}, securityContext={"privileged": True}, image="evil:1", hostPID=True)
    said = await refused(node, place, run)
    for field in ("securityContext", "image", "hostPID"):
        assert f"{field} is the administrator's: it is set in PowerToolConfig only" in said


async def test_an_unknown_field_is_refused_by_kubectl_itself(node: Node, place: str) -> None:
    """kubectl validates strictly: a typing error never becomes silence."""
    said = await refused(node, place, a_run("typo", "works", {"pod": "probed"}, contanier="app"))
    assert 'unknown field "spec.contanier"' in said


async def test_a_run_never_changes(node: Node, place: str) -> None:
    """But for cancel: another tool is another run."""
    await apply(node, place, a_run("fixed", "works", {"pod": "nobody"}))
    said = await refused(node, place, a_run("fixed", "elsewhere", {"pod": "nobody"}))
    assert "spec.tool" in said
    assert "immutable" in said or "never change" in said
    assert "configured" in await apply(node, place, a_run("fixed", "works", {"pod": "nobody"}, cancel=True))
    run = await node.finished(place, "fixed")
    assert phase(run) == "Canceled"


async def test_a_refused_argument_is_named(node: Node, place: str) -> None:
    """By its index, with what would be accepted, and all of them at once."""
    run = a_run("wordy", "asked", {"pod": "probed"})
    run["spec"]["tool"]["args"] = ["-n", "10", "-z"]
    await apply(node, place, run)
    failed = await node.finished(place, "wordy")
    why, said = reason(failed, "Failed")
    assert why == "ArgumentNotAllowed"
    assert 'spec.tool.args[1]: -n needs NUMBER (1 to 9) as the next word, not "10"' in said
    assert 'spec.tool.args[2]: asked does not accept "-z" here' in said


# What people type


async def test_get_wait_events_and_describe(node: Node, place: str) -> None:
    """``kubectl get pt,ptc``, ``wait --for=condition=Completed``, ``get events``, ``describe`` tell the whole story."""
    await apply(node, place, a_run("story", "works", {"pod": "probed"}, duration="2s"))
    await node.kubectl("wait", "-n", place, "--for=condition=Completed", "pt/story", "--timeout=60s")
    await node.kubectl("wait", "-n", place, "--for=condition=Finished", "pt/story", "--timeout=1s")
    header, line = (await node.kubectl("get", "pt", "-n", place, "story")).splitlines()
    assert header.split() == ["NAME", "TOOL", "PHASE", "PODS", "DONE", "AGE"]
    assert line.split()[:5] == ["story", "works", "Completed", "1", "1"]
    both = await node.kubectl("get", "pt,ptc", "-A", "-o", "name")
    assert "powertool.codriverlabs.ai.toe.run/story" in both
    assert "powertoolconfig.codriverlabs.ai.toe.run/py-spy" in both
    assert "powertool.codriverlabs.ai.toe.run/story" in await node.kubectl("get", "toe", "-n", place, "-o", "name")
    assert await told(node, place, "PowerTool", "story", "Completed") >= {"Accepted", "Injected"}
    await told(node, place, "Pod", "probed", "ToolInjected")
    await told(node, "toe-system", "PowerToolConfig", "works", "Valid")
    described = await node.kubectl("describe", "pt", "-n", place, "story")
    for word in ("Spec:", "Status:", "Type:", "Finished", "the target succeeded", "Events:", "Injected"):
        assert word in described
    assert "PowerTool story put works into probed (container app) as uid 1001 with no capability" in (
        await node.kubectl("describe", "pod", "-n", place, "probed")
    )


async def told(node: Node, namespace: str, kind: str, name: str, wanted: str) -> set[str]:
    """Waits for an event of this reason about an object; returns the reasons that ``kubectl get events`` shows then.

    Events come after the status, in their own time.
    """
    selector = f"involvedObject.kind={kind},involvedObject.name={name}"
    path = f"/api/v1/namespaces/{namespace}/events"
    async with asyncio.timeout(20), aclosing(node.rest.watch(path, "0", fieldSelector=selector)) as events:
        async for _, event in events:
            if event["reason"] == wanted:
                break
    found = await node.kubectl_json("get", "events", "-n", namespace, "--field-selector", selector)
    return {event["reason"] for event in found["items"]}


async def test_wait_sees_a_failure(node: Node, place: str) -> None:
    """``--for=condition=Failed`` and ``Finished`` end for a run that fails; Completed is False, and says why."""
    run = a_run("failing", "works", {"pod": "described"}, duration="2s")
    run["spec"]["targets"]["container"] = "no-such-container"
    await apply(node, place, run)
    await node.kubectl("wait", "-n", place, "--for=condition=Failed", "pt/failing", "--timeout=30s")
    await node.kubectl("wait", "-n", place, "--for=condition=Finished", "pt/failing", "--timeout=1s")
    await node.kubectl("wait", "-n", place, "--for=condition=Completed=false", "pt/failing", "--timeout=1s")
    run = await node.kubectl_json("get", "pt", "-n", place, "failing")
    assert "the pod has no container no-such-container; it has app" in reason(run, "Completed")[1]


async def test_a_config_that_gains_rights_is_an_event(node: Node, place: str) -> None:
    """Whoever watches the events of configs sees each change of their security."""
    await node.tool("grows")
    await node.kubectl("wait", "-n", "toe-system", "--for=condition=Ready", "ptc/grows", "--timeout=20s")
    change = {"spec": {"security": {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}}}
    await node.kubectl("patch", "ptc", "-n", "toe-system", "grows", "--type=merge", "-p", json.dumps(change))
    await told(node, "toe-system", "PowerToolConfig", "grows", "SecurityChanged")
    config = await node.kubectl_json("get", "ptc", "-n", "toe-system", "grows")
    assert (config["status"]["tier"], config["status"]["podSecurityLevel"]) == ("High", "privileged")
    await node.kubectl("delete", "-n", "toe-system", "ptc/grows")


async def test_the_api_explains_itself(node: Node, controller: Program) -> None:
    """``kubectl explain`` has a sentence for what a user writes."""
    text = await node.kubectl("explain", "pt.spec.tool")
    for field in ("name", "duration", "args", "warmup"):
        assert field in text
    assert "spec.name of a PowerToolConfig" in text


async def test_a_run_is_deleted_at_once(node: Node, place: str) -> None:
    """``kubectl delete`` returns when it is gone, also while its tool runs."""
    await apply(node, place, a_run("short-lived", "works", {"pod": "described"}, duration="3s"))
    await node.until(place, "short-lived", lambda run: phase(run) == "Running" or is_finished(run))
    await asyncio.wait_for(node.kubectl("delete", "pt", "-n", place, "short-lived", "--timeout=5s"), 10)
    assert (await node.rest.get(runs(place), fieldSelector="metadata.name=short-lived"))["items"] == []


def test_every_manifest_of_the_source_document_is_here() -> None:
    """What is applied above is all that the document has."""
    written = {path.stem for path in Path(SOURCE).glob("*-config.yaml")}
    assert written == {*TOGETHER, "profiler-config"}
