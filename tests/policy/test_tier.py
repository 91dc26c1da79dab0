"""How dangerous a config is, what it sees, and what a namespace must permit for it."""

from typing import Any

import msgspec
import pytest

from toe.api.powertoolconfig import Security
from toe.policy.capabilities import BY_NAME
from toe.policy.tier import added, drops_all, granted, pod_security_level, reach_of, tier_of


def _security(*add: str, drop: tuple[str, ...] = ("ALL",), **more: Any) -> Security:
    return msgspec.convert({"capabilities": {"add": list(add), "drop": list(drop)}, **more}, Security)


def test_what_a_container_is_granted() -> None:
    """Everything for privileged; else the runtime's defaults without what is dropped, and what is added."""
    assert granted(_security(allowPrivileged=True)) == set(BY_NAME)
    assert granted(_security("KILL")) == {"KILL"}
    assert granted(Security()) == {name for name, capability in BY_NAME.items() if capability.default}
    assert "NET_RAW" not in granted(_security(drop=("NET_RAW",)))
    assert added(Security()) == added(_security()) == set()
    assert drops_all(_security())
    assert not drops_all(_security(drop=("KILL",)))
    assert not drops_all(Security())


@pytest.mark.parametrize("name", list(BY_NAME))
def test_a_capability_alone_has_the_tier_of_the_table(name: str) -> None:
    """Nothing else is added to it."""
    assert tier_of(_security(name)) == BY_NAME[name].tier


@pytest.mark.parametrize(
    ("security", "tier"),
    [
        (_security(), "Low"),
        (Security(), "High"),
        (_security(runAsRoot=True), "Medium"),
        (_security(runAsUser=0, runAsGroup=0), "Medium"),
        (_security(runAsUser=7, runAsGroup=0), "Low"),
        (_security(allowPrivileged=True), "Extreme"),
        (_security(allowHostPID=True), "High"),
        (_security("SYS_PTRACE", allowHostPID=True), "Extreme"),
        (_security("KILL", allowHostPID=True), "Extreme"),
        (_security("BPF"), "High"),
        (_security("BPF", "PERFMON"), "Extreme"),
        (_security("BPF", "NET_ADMIN"), "Extreme"),
        (_security(seccompProfile="Unconfined"), "High"),
        (_security("NO_SUCH_CAPABILITY"), "Low"),
    ],
)
def test_flags_and_combinations_raise_the_tier(security: Security, tier: str) -> None:
    """The highest of capabilities, flags and combinations."""
    assert tier_of(security) == tier


@pytest.mark.parametrize(
    ("level", "tier"), [("low", "Medium"), ("high", "High"), ("Extreme", "Extreme"), ("odd", "Medium"), ("", "Medium")]
)
def test_the_annotation_raises_and_never_lowers(level: str, tier: str) -> None:
    """An administrator may be more careful than the table, not less."""
    assert tier_of(_security("SYS_PTRACE"), {"security.toe.run/risk-level": level}) == tier


@pytest.mark.parametrize(
    ("security", "reach"),
    [
        (_security(), ("memory",)),
        (_security(runAsRoot=True), ()),
        (_security(runAsUser=0, runAsGroup=0), ()),
        (_security("SYS_PTRACE", runAsRoot=True), ("memory",)),
        (_security("NET_RAW", runAsRoot=True), ("traffic",)),
        (_security("PERFMON", runAsRoot=True), ("node",)),
        (_security("SYS_ADMIN", runAsRoot=True), ("memory", "node")),
        (_security(allowHostPID=True), ("memory", "node")),
        (_security(allowPrivileged=True), ("memory", "traffic", "node")),
    ],
)
def test_reach_is_what_a_tool_sees_beyond_itself(security: Security, reach: tuple[str, ...]) -> None:
    """A tool without a capability that shares the target's identity reads its memory all the same."""
    assert reach_of(security) == reach


@pytest.mark.parametrize(
    ("security", "level"),
    [
        (_security(), "restricted"),
        (_security("NET_BIND_SERVICE"), "restricted"),
        (_security(runAsRoot=True), "baseline"),
        (_security(runAsUser=0, runAsGroup=0), "baseline"),
        (Security(), "baseline"),
        (_security("KILL"), "baseline"),
        (_security("SYS_PTRACE"), "privileged"),
        (_security("NET_RAW"), "privileged"),
        (_security(allowPrivileged=True), "privileged"),
        (_security(allowHostPID=True), "privileged"),
        (_security(seccompProfile="Unconfined"), "privileged"),
        (_security("NO_SUCH_CAPABILITY"), "privileged"),
    ],
)
def test_the_level_is_what_pod_security_would_say(security: Security, level: str) -> None:
    """Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/"""
    assert pod_security_level(security) == level
