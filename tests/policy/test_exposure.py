"""What a tool becomes in a particular pod."""

from typing import Any

import pytest

from tests.builders import a_config, a_pod
from toe.policy.exposure import tier_in


def _with(*capabilities: str) -> Any:
    return a_config(security={"capabilities": {"drop": ["ALL"], "add": list(capabilities)}, "runAsRoot": True})


@pytest.mark.parametrize(
    ("config", "spec", "tier"),
    [
        (_with("SYS_PTRACE"), {}, "Medium"),
        (_with("SYS_PTRACE"), {"shareProcessNamespace": True}, "High"),
        (_with("SYS_PTRACE"), {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "High"),
        (_with("SYS_PTRACE"), {"volumes": [{"name": "v", "emptyDir": {}}]}, "Medium"),
        (_with("SYS_PTRACE"), {"containers": [{"name": "app", "securityContext": {"privileged": True}}]}, "High"),
        (_with("SYS_PTRACE"), {"hostPID": True}, "Extreme"),
        (_with("NET_RAW"), {}, "Medium"),
        (_with("NET_RAW"), {"hostNetwork": True}, "High"),
        (_with("NET_ADMIN"), {"hostNetwork": True}, "High"),
        (_with("CHOWN"), {"hostNetwork": True, "hostPID": True, "shareProcessNamespace": True}, "Medium"),
    ],
)
def test_the_pod_raises_the_tier(config: Any, spec: dict[str, Any], tier: str) -> None:
    """By what the capability reaches there."""
    assert tier_in(config, "Medium", a_pod(spec=spec)) == tier


def test_the_pod_never_lowers_it() -> None:
    """The config's own tier is the least."""
    assert tier_in(_with(), "Extreme", a_pod()) == "Extreme"
