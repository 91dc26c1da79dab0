"""What a process really holds is the kernel's, not the manifest's."""

from typing import Any

import pytest

from tests.builders import a_config, a_pod
from toe.api.powertoolconfig import Security
from toe.policy.identity import Identity
from toe.report.holdings import held, holdings

ROOT, USER = Identity(0, 0), Identity(1000, 1001)
TRACE = {"capabilities": {"drop": ["ALL"], "add": ["SYS_PTRACE"]}}


def _status(uid: int, gid: int) -> dict[str, Any]:
    return {"name": "app", "user": {"linux": {"uid": uid, "gid": gid}}}


def _security(**fields: Any) -> Security:
    return a_config(security=fields).spec.effective_security


def _says(name: str, identity: Identity, pod: dict[str, Any] | None = None, **security: Any) -> str:
    found = a_pod(spec=pod, status={"containerStatuses": [_status(1000, 1001)]})
    facts = held(_security(**security), identity, found, found.spec.containers[0].name)
    return next(fact.says for fact in facts if fact.name == name)


def test_what_is_added_does_nothing_for_who_is_not_root() -> None:
    """Kubernetes raises no ambient capabilities, and no_new_privs keeps programs from gaining any."""
    found = holdings(_security(**TRACE), USER)
    assert (found.effective, found.bounding, found.no_new_privs) == ((), ("SYS_PTRACE",), True)
    assert "add SYS_PTRACE does nothing for uid 1000" in _says("capabilities", USER, **TRACE)


def test_root_holds_what_is_added() -> None:
    """And nothing else when ALL is dropped."""
    assert holdings(_security(**TRACE), ROOT).effective == ("SYS_PTRACE",)
    assert _says("capabilities", ROOT, **TRACE) == "SYS_PTRACE"
    assert _says("capabilities", ROOT, capabilities={"drop": ["ALL"]}) == "none"


def test_default_capabilities_stay_unless_all_is_dropped() -> None:
    """For root they are really there, for others within reach of nothing."""
    kept = {"capabilities": {"drop": []}}
    assert len(holdings(_security(**kept), ROOT).effective) == 14
    assert "14 of them the runtime's own" in _says("capabilities", ROOT, **kept)
    assert "none; the runtime's default ones" in _says("capabilities", USER, **kept)


def test_privileged_is_root_on_the_node_for_root_only() -> None:
    """Somebody else is privileged and holds nothing."""
    assert _says("capabilities", ROOT, allowPrivileged=True) == "all 41"
    assert _says("capabilities", USER, allowPrivileged=True).startswith("none: it is privileged but not root")
    assert holdings(_security(allowPrivileged=True), ROOT).seccomp == "Unconfined"
    assert "no_new_privs is off" in _says("privileges", USER, allowPrivileged=True)
    assert _says("node", ROOT, allowPrivileged=True) == "all of it: privileged"
    assert "its devices" in _says("node", USER, allowPrivileged=True)
    assert _says("files", ROOT, allowPrivileged=True) == "all of the target and of the node"


@pytest.mark.parametrize(
    ("identity", "security", "reads"),
    [
        (USER, {"capabilities": {"drop": ["ALL"]}}, "of the target, as its own user"),
        (ROOT, {"capabilities": {"drop": ["ALL"]}}, "none: the target is another user"),
        (Identity(1000, 0), {"capabilities": {"drop": ["ALL"]}}, "none: the target is another user"),
        (ROOT, TRACE, "of every process that it sees"),
    ],
)
def test_memory_is_read_by_the_same_uid_and_gid_or_by_sys_ptrace(
    identity: Identity, security: dict[str, Any], reads: str
) -> None:
    """As the kernel's ptrace access check says."""
    assert _says("memory", identity, **security).startswith(reads)


def test_root_in_a_root_target_needs_its_capabilities() -> None:
    """The kernel compares the sets of both."""
    found = a_pod(status={"containerStatuses": [_status(0, 0)]})
    says = {f.name: f.says for f in held(_security(capabilities={"drop": ["ALL"]}), ROOT, found, "app")}
    assert "no capability beyond its own" in says["memory"]
    assert says["runs as"] == "uid 0, gid 0 (the same as the target), root"


def test_files_are_those_behind_the_target() -> None:
    """Its mounted secrets too, when the tool may trace it."""
    assert "account token" in _says("files", USER, capabilities={"drop": ["ALL"]})
    assert _says("files", ROOT, capabilities={"drop": ["ALL"]}) == "its own image's; none of the target's"
    both = {"capabilities": {"drop": ["ALL"], "add": ["SYS_PTRACE", "DAC_OVERRIDE"]}}
    assert _says("files", ROOT, **both).startswith("all of the target's")


def test_the_pod_decides_what_else_is_reached() -> None:
    """Shared processes, the node's network, the node's processes."""
    assert _says("containers", USER) == "the target's processes only are visible"
    assert "all containers are visible" in _says("containers", USER, {"shareProcessNamespace": True})
    assert "the whole node" in _says("containers", USER, {"hostPID": True})
    assert "cannot capture" in _says("network", USER)
    raw = {"capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]}}
    assert "the node's network" in _says("network", ROOT, {"hostNetwork": True}, **raw)
    assert "NET_RAW" in _says("network", ROOT, **raw)
    assert _says("node", ROOT, {"hostPID": True}, **TRACE) == "all of it: it may trace the node's processes"
    assert "SYS_ADMIN" in _says("node", ROOT, capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]})
    assert _says("node", USER) == "nothing of it"
    assert _says("node", USER, {"hostPID": True}) == "its processes are visible (hostPID)"
    assert "every other process of this uid" in _says("memory", USER, {"shareProcessNamespace": True})
    assert _says("system calls", USER, seccompProfile="Unconfined") == "not filtered"
    assert "filtered" in _says("system calls", USER)
