"""PowerToolConfig: what an administrator permits, and its rules."""

from typing import Any

import pytest

from tests.builders import a_config, a_smuggled_config, config_manifest
from toe.api.codec import problems_of
from toe.api.powertoolconfig import ClaimPath, Limits, Security


def _problems(**spec: Any) -> list[str]:
    return [str(problem) for problem in problems_of(config_manifest(**spec))]


def _claims(*claims: tuple[str, str]) -> dict[str, Any]:
    return {"output": {"modes": ["pvc"], "volumes": [{"claimName": name, "path": path} for name, path in claims]}}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"security": None}, "spec.security"),
        ({"securityContext": {}}, "spec.security"),
        ({"security": {"runAsRoot": True, "runAsUser": 1, "runAsGroup": 1}}, "spec.security.runAsRoot"),
        ({"security": {"runAsRoot": False, "runAsUser": 0, "runAsGroup": 1}}, "spec.security.runAsUser"),
        ({"security": {"runAsUser": 1}}, "spec.security.runAsUser"),
        ({"security": {"runAsGroup": 1}}, "spec.security.runAsGroup"),
        ({"command": None, "supervised": True}, "spec.supervised"),
        ({"allowedNamespaces": ["prod-*"]}, "spec.allowedNamespaces"),
        ({"env": [{"name": "TOE_RUN"}]}, "spec.env"),
        ({"limits": {"maxDuration": "0s"}}, "spec.limits.maxDuration"),
        ({"output": {"modes": ["pvc"]}}, "spec.output.volumes"),
        ({"output": {"volumes": [{"claimName": "data", "path": "/results"}]}}, "spec.output.volumes"),
        (_claims(("data", "/results"), ("data", "/other")), "spec.output.volumes"),
        (_claims(("data", "results")), "spec.output.volumes[0].path"),
        (_claims(("data", "/a/../b")), "spec.output.volumes[0].path"),
        ({"arguments": {"any": True, "options": [{"flag": "-c"}]}}, "spec.arguments.any"),
        ({"arguments": {"options": [{"flag": "-c", "value": {}}]}}, "spec.arguments.options[0].value"),
        (
            {"arguments": {"options": [{"flag": "-c", "value": {"integer": {"min": 2, "max": 1}}}]}},
            "spec.arguments.options[0].value.integer.min",
        ),
    ],
)
def test_every_rule_names_its_field(spec: dict[str, Any], path: str) -> None:
    """A config that contradicts itself is refused by the field that does."""
    assert [problem.partition(": ")[0] for problem in _problems(**spec)] == [path]


def test_both_names_of_security_mean_the_same() -> None:
    """Manifests of the Go implementation write ``securityContext``."""
    own = a_config(security={"runAsRoot": True})
    other = a_config(security=None, securityContext={"runAsRoot": True, "capabilities": {"drop": ["ALL"]}})
    assert own.spec.effective_security == other.spec.effective_security
    assert a_smuggled_config(security=None).spec.effective_security == Security()


@pytest.mark.parametrize(
    ("spec", "supervised"),
    [({}, True), ({"command": None}, False), ({"supervised": False}, False), ({"supervised": True}, True)],
)
def test_a_tool_is_supervised_when_it_has_a_command_unless_stated(spec: dict[str, Any], supervised: bool) -> None:
    """The supervisor runs the command; without one the image's entry point runs."""
    assert a_config(**spec).spec.is_supervised is supervised


def test_limits_of_a_go_manifest_fill_what_limits_leave_out() -> None:
    """``resources.limits`` counts where ``limits`` is silent, and only there."""
    resources = {"limits": {"cpu": "500m", "memory": "256Mi"}}
    stated = a_config(resources=resources).spec.effective_limits
    assert (stated.cpu_percent, stated.memory) == (50, "256Mi")
    both = a_config(resources=resources, limits={"cpuPercent": 10, "memory": "1Gi"}).spec.effective_limits
    assert (both.cpu_percent, both.memory) == (10, "1Gi")
    assert a_config(resources={"requests": {"cpu": "1"}}).spec.effective_limits == Limits()
    assert a_config().spec.effective_limits == Limits()


def test_results_leave_through_the_log_unless_stated() -> None:
    """Absent modes mean the log and the collector; without the supervisor nobody collects files."""
    assert a_config().spec.output_modes == ("ephemeral", "collector")
    assert a_config(output={}).spec.output_modes == ("ephemeral", "collector")
    assert a_config(output={"modes": ["collector"]}).spec.output_modes == ("collector",)
    assert a_config(command=None).spec.output_modes == ("ephemeral",)


def test_only_what_is_written_down_is_listed() -> None:
    """That files may leave through the log is an administrator's word, not a default."""
    assert not a_config().spec.lists_ephemeral
    assert a_config(output={"modes": ["collector", "ephemeral"]}).spec.lists_ephemeral


def test_a_claim_is_found_by_its_name() -> None:
    """Only claims that the config lists are there."""
    spec = a_config(**_claims(("data", "/results"))).spec
    assert spec.claim("data") == ClaimPath(claim_name="data", path="/results")
    assert spec.claim("other") is None
    assert a_config().spec.claim("data") is None


def test_rules_pass_over_nulls() -> None:
    """A list that is null is a list that is absent."""
    assert _problems(allowedNamespaces=["a"], env=[{"name": "A"}]) == []
