"""The kernel's 41 capabilities with the tier of each."""

from pathlib import Path

import pytest

from toe.policy.capabilities import BY_NAME, CAPABILITIES, DEFAULT, TIERS, highest

SOURCE_DOCUMENT = {
    "SYS_PTRACE": "Medium",
    "SYS_ADMIN": "High",
    "NET_ADMIN": "Medium",
    "DAC_OVERRIDE": "High",
    "SETUID": "High",
    "SETGID": "High",
    "SYS_MODULE": "Extreme",
    "SYS_RAWIO": "Extreme",
    "SYS_BOOT": "Extreme",
    "MAC_ADMIN": "High",
    "MAC_OVERRIDE": "High",
}
BASELINE = {
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
}


def test_there_are_41_in_the_kernels_order() -> None:
    """Numbers are those of include/uapi/linux/capability.h, without a gap."""
    assert [capability.number for capability in CAPABILITIES] == list(range(41))
    assert len(BY_NAME) == 41


def test_names_are_canonical() -> None:
    """Upper case, no prefix; ALL is no capability."""
    assert all(name == name.upper() and not name.startswith("CAP_") for name in BY_NAME)
    assert "ALL" not in BY_NAME


def test_this_kernel_knows_no_more() -> None:
    """A newer kernel with a 42nd capability makes this test fail, so that the table is looked at."""
    last = Path("/proc/sys/kernel/cap_last_cap")
    assert int(last.read_text()) <= 40 if last.exists() else True


@pytest.mark.parametrize("name", list(SOURCE_DOCUMENT))
def test_tiers_of_the_source_document_are_kept(name: str) -> None:
    """What the source document calls dangerous is as dangerous here."""
    assert BY_NAME[name].tier == SOURCE_DOCUMENT[name]


def test_baseline_is_pod_securitys_list() -> None:
    """Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/ (13 capabilities)."""
    assert {capability.name for capability in CAPABILITIES if capability.baseline} == BASELINE


def test_defaults_are_containerds() -> None:
    """Source: containerd's oci package, defaultUnixCaps (14 capabilities): baseline's and NET_RAW."""
    assert set(DEFAULT) == BASELINE | {"NET_RAW"}


def test_every_capability_says_what_it_gives() -> None:
    """An administrator reads why."""
    assert all(capability.gives for capability in CAPABILITIES)


def test_the_highest_of_tiers() -> None:
    """Low for none."""
    assert highest() == "Low"
    assert highest("Medium", "Extreme", "High") == "Extreme"
    assert TIERS == ("Low", "Medium", "High", "Extreme")
