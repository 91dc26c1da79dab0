"""Three tools in pods of all kinds: what they bring back, and with which rights they did."""

import asyncio
import re
from collections.abc import AsyncIterator
from io import BytesIO
from typing import NamedTuple

import pytest
from scapy.layers.inet import TCP
from scapy.utils import rdpcap

from tests.cluster.program import Program
from tests.cluster.rest import Object, phase
from tests.e2e.conftest import MANY, PLAIN, ROOT, SHARED, Node, Outcome

pytestmark = [pytest.mark.node, pytest.mark.timeout(240)]

NOTHING, PTRACE, CAPTURE = "0" * 16, "0000000000080000", "0000000000002040"


class Case(NamedTuple):
    """One tool in one container, and the identity and rights that it must have."""

    pod: str
    tool: str
    container: str
    uid: int
    capabilities: str = NOTHING


CASES = [
    Case("plain", "py-spy", "app", 1001),
    Case("plain", "strace", "app", 1001),
    Case("plain", "tcpdump", "app", 0, CAPTURE),
    Case("root", "py-spy-root", "app", 0, PTRACE),
    Case("root", "strace-root", "app", 0, PTRACE),
    Case("root", "tcpdump", "app", 0, CAPTURE),
    Case("many", "py-spy", "app", 1001),
    Case("many", "py-spy", "load", 2000),
    Case("many", "strace", "agent", 3000),
    Case("many", "tcpdump", "load", 0, CAPTURE),
    Case("shared", "py-spy", "app", 1001),
    Case("shared", "strace", "app", 1001),
    Case("shared", "tcpdump", "app", 0, CAPTURE),
]
KINDS = {"plain": PLAIN, "root": ROOT, "many": MANY, "shared": SHARED}
WORDS = {"py-spy": ("--rate", "200"), "strace": ("-tt",), "tcpdump": ("-n", "tcp")}

Results = dict[Case, Object]


def name_of(case: Case) -> str:
    """Is the name of the run of a case."""
    return f"{case.pod}-{case.container}-{case.tool}"


@pytest.fixture(scope="module")
async def finished(node: Node, controller: Program) -> AsyncIterator[Results]:
    """The runs of all cases, made at once: those that share a pod wait for each other by themselves."""
    namespace = await node.namespace()
    await asyncio.gather(*(node.pod(namespace, name, spec) for name, spec in KINDS.items()))
    for case in CASES:
        words = WORDS[case.tool.removesuffix("-root")]
        await node.run(namespace, name_of(case), case.tool, {"pod": case.pod}, *words, container=case.container)
    done = await asyncio.gather(*(node.finished(namespace, name_of(case)) for case in CASES))
    yield dict(zip(CASES, done, strict=True))
    await node.rest.delete(f"/api/v1/namespaces/{namespace}")


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_a_tool_does_its_work_with_exactly_its_rights(node: Node, finished: Results, case: Case) -> None:
    """Completed, exit code 0, the uid, gid and capabilities of the config, and a file that says something."""
    run = finished[case]
    assert phase(run) == "Completed", run["status"]
    (target,) = run["status"]["targets"]
    assert (target["state"], target["exitCode"], target["container"]) == ("Succeeded", 0, case.container)
    got = await node.outcome(run)
    assert (got.reported["uid"], got.reported["gid"], got.reported["capEff"]) == (case.uid, case.uid, case.capabilities)
    assert (got.reported["noNewPrivs"], got.reported["seccomp"]) == (True, 2)
    expect_exact_security(got, case)
    assert got.ended["exitCode"] == 0
    CONTENTS[case.tool.removesuffix("-root")](got, case)
    listed = {(file["name"], file["bytes"]) for file in run["status"]["artifacts"]}
    assert {(name, len(content)) for name, content in got.files.items()} == listed
    assert run["status"]["bytesWritten"] == sum(len(content) for content in got.files.values())


def expect_exact_security(got: Outcome, case: Case) -> None:
    """What the pod says, field by field."""
    added = {NOTHING: [], PTRACE: ["SYS_PTRACE"], CAPTURE: ["NET_RAW", "SETGID"]}[case.capabilities]
    security = dict(got.security)
    capabilities = security.pop("capabilities")
    assert (capabilities.get("add", []), capabilities["drop"]) == (added, ["ALL"])
    assert security == {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "runAsUser": case.uid,
        "runAsGroup": case.uid,
        "runAsNonRoot": case.uid != 0,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert got.container["targetContainerName"] == case.container


def expect_a_profile(got: Outcome, case: Case) -> None:
    """Folded stacks that name the functions of the process that was asked for, and of no other."""
    profile = got.files["profile.folded"].decode()
    assert [line for line in profile.split("\n") if line and not re.fullmatch(r".* \d+", line)] == []
    mine, others = ("load.py", "shop.py") if case.container == "load" else ("shop.py", "load.py")
    assert mine in profile
    assert others not in profile
    if case.container == "app":
        assert {"apply_discounts", "render_catalog"} & set(re.findall(r"\w+", profile))


def expect_a_trace(got: Outcome, case: Case) -> None:
    """Lines with a time and a system call."""
    trace = got.files["strace.txt"].decode()
    calls = set(re.findall(r"^\d+ +[\d:.]+ (\w+)\(", trace, re.MULTILINE))
    assert calls & {"recvfrom", "sendto", "accept4", "poll", "ppoll", "clock_nanosleep", "futex", "select"}, trace[:500]


def expect_a_capture(got: Outcome, case: Case) -> None:
    """A capture that another program reads, with the shop's packets in it."""
    packets = rdpcap(BytesIO(got.files["capture.pcap"]))
    ports = {port for packet in packets if TCP in packet for port in (packet[TCP].sport, packet[TCP].dport)}
    assert 8080 in ports
    assert any(b"GET /" in bytes(packet) for packet in packets)


CONTENTS = {"py-spy": expect_a_profile, "strace": expect_a_trace, "tcpdump": expect_a_capture}


async def test_profilers_work_where_pod_security_is_restricted(node: Node, controller: Program) -> None:
    """The level that refuses every capability: py-spy and strace take the target's identity and need none."""
    namespace = await node.namespace("restricted")
    await node.pod(namespace, "plain", PLAIN)
    for tool in ("py-spy", "strace"):
        await node.run(namespace, tool, tool, {"pod": "plain"}, duration="2s")
    done = await asyncio.gather(*(node.finished(namespace, tool) for tool in ("py-spy", "strace")))
    assert [phase(run) for run in done] == ["Completed", "Completed"]
    await node.rest.delete(f"/api/v1/namespaces/{namespace}")


async def test_one_run_enters_all_pods_of_a_selector(node: Node, controller: Program) -> None:
    """Three pods, three profiles, one status with all of them."""
    namespace = await node.namespace()
    await asyncio.gather(*(node.pod(namespace, f"plain-{n}", PLAIN, app="shop") for n in range(3)))
    await node.run(namespace, "all", "py-spy", {"app": "shop"}, duration="2s", container="app")
    run = await node.finished(namespace, "all")
    assert phase(run) == "Completed", run["status"]
    assert (run["status"]["selectedPods"], run["status"]["completedPods"]) == (3, 3)
    assert [target["pod"] for target in run["status"]["targets"]] == ["plain-0", "plain-1", "plain-2"]
    for index in range(3):
        assert b"shop.py" in (await node.outcome(run, index)).files["profile.folded"]
    await node.rest.delete(f"/api/v1/namespaces/{namespace}")
