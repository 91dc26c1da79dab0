"""Is a PowerToolConfig fit for use?"""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.builders import a_config
from toe.api.codec import decode, read_documents
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.reasons import Reason
from toe.api.settings import Settings
from toe.policy.readiness import Readiness, digest_of, judge_config

HERE = Path(__file__).parents[1] / "manifests"
SETTINGS = Settings()


def _judged(**spec: Any) -> Readiness:
    return judge_config(a_config(**spec), SETTINGS)


def test_a_good_config_is_ready_with_nothing_to_tell() -> None:
    """Pinned, supervised, without a capability: no violation, no finding."""
    readiness = _judged()
    assert readiness.is_ready
    assert readiness.findings == ()
    assert (readiness.tier, readiness.reach, readiness.pod_security_level) == ("Low", ("memory",), "restricted")
    assert readiness.digest.startswith("sha256:")


@pytest.mark.parametrize(
    ("spec", "reason", "message"),
    [
        (
            {"metadata": {"namespace": "default"}},
            Reason.WRONG_NAMESPACE,
            "metadata.namespace: PowerToolConfigs count only in the namespace toe-system, not in default",
        ),
        (
            {"security": {"capabilities": {"add": ["CAP_SYS_PTRACE"]}}},
            Reason.UNKNOWN_CAPABILITY,
            "spec.security.capabilities.add[0]: 'CAP_SYS_PTRACE' is no capability: did you mean SYS_PTRACE?",
        ),
        (
            {"security": None, "securityContext": {"capabilities": {"drop": ["none"]}}},
            Reason.UNKNOWN_CAPABILITY,
            (
                "spec.securityContext.capabilities.drop[0]: 'none' is no capability; accepted is one of the kernel's "
                "41 names in canonical spelling (SYS_PTRACE) or ALL"
            ),
        ),
        (
            {"security": {"capabilities": {"add": ["ALL"], "drop": None}}},
            Reason.UNKNOWN_CAPABILITY,
            (
                "spec.security.capabilities.add[0]: ALL is accepted in drop only; a tool that needs everything says "
                "allowPrivileged: true"
            ),
        ),
        (
            {"security": {"capabilities": {"add": ["KILL"], "drop": ["KILL"]}}},
            Reason.CAPABILITY_CONFLICT,
            "spec.security.capabilities: KILL is both added and dropped: name it in one of the lists",
        ),
        (
            {"arguments": {"operands": {"max": 1, "pattern": "("}}},
            Reason.CONFIG_INVALID,
            "spec.arguments.operands.pattern: is no RE2 pattern: missing ): (",
        ),
        (
            {"arguments": {"options": [{"flag": "-n"}, {"flag": "-f", "value": {"pattern": "a(?=b)"}}]}},
            Reason.CONFIG_INVALID,
            "spec.arguments.options[1].value.pattern: is no RE2 pattern: invalid perl operator: (?=",
        ),
        (
            {"arguments": {"options": [{"flag": "--x=y"}]}},
            Reason.CONFIG_INVALID,
            "spec.arguments.options[0].flag: '--x=y' must be one whole flag: values are their own word",
        ),
        (
            {"arguments": {"options": [{"flag": "--"}]}},
            Reason.CONFIG_INVALID,
            "spec.arguments.options[0].flag: '--' must be one whole flag: values are their own word",
        ),
        (
            {"command": ["a\0b"]},
            Reason.CONFIG_INVALID,
            "spec.command[0]: a word cannot hold a NUL character",
        ),
        (
            {"defaultArgs": ["x", "--user-args--"]},
            Reason.CONFIG_INVALID,
            (
                "spec.defaultArgs[1]: --user-args-- separates the administrator's words from the user's: "
                "choose another word"
            ),
        ),
        (
            {"command": None, "defaultArgs": ["-o", "{output}/x"]},
            Reason.CONFIG_INVALID,
            (
                "spec.defaultArgs[1]: placeholders are expanded by the supervisor, which this tool does not have: "
                "set a command"
            ),
        ),
        (
            {"resources": {"limits": {"cpu": "half"}}},
            Reason.CONFIG_INVALID,
            "spec.resources.limits.cpu: 'half' is no CPU quantity such as 500m or 2",
        ),
        (
            {"resources": {"limits": {"cpu": "0"}}},
            Reason.CONFIG_INVALID,
            "spec.resources.limits.cpu: '0' is no CPU quantity such as 500m or 2",
        ),
        (
            {"resources": {"limits": {"memory": "1.5Gi"}}},
            Reason.CONFIG_INVALID,
            "spec.resources.limits.memory: '1.5Gi' is no memory quantity such as 256Mi",
        ),
        (
            {"limits": {"memory": "9999999999Ti"}},
            Reason.CONFIG_INVALID,
            "spec.limits.memory: '9999999999Ti' is no memory quantity such as 256Mi",
        ),
        (
            {"metadata": {"annotations": {"security.toe.run/risk-level": "severe"}}},
            Reason.ANNOTATION_INVALID,
            (
                "metadata.annotations[security.toe.run/risk-level]: 'severe' is no risk level: accepted are low, "
                "medium, high, extreme"
            ),
        ),
    ],
)
def test_what_cannot_be_meant_is_a_violation_with_its_field(spec: dict[str, Any], reason: Reason, message: str) -> None:
    """The message says what would be accepted."""
    (violation,) = _judged(**spec).violations
    assert (violation.reason, str(violation)) == (reason, message)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"allowedNamespaces": ["shop", "*-test"]}, "spec.allowedNamespaces"),
        ({"allowedNamespaces": []}, "spec.allowedNamespaces"),
        ({"securityContext": {"runAsRoot": True}}, "spec.security"),
        ({"image": "no image"}, "spec.image"),
    ],
)
def test_what_a_laxer_definition_has_let_in_is_not_used(spec: dict[str, Any], field: str) -> None:
    """The Go implementation's, for one: the API server judges an object when it is written, and never again."""
    raw = msgspec.json.decode(msgspec.json.encode(a_config()))
    stored = msgspec.convert({**raw, "spec": raw["spec"] | spec}, PowerToolConfig)
    assert {violation.field for violation in judge_config(stored, SETTINGS).violations} == {field}


def test_all_violations_are_told_at_once() -> None:
    """An administrator mends them in one go."""
    capabilities = {"capabilities": {"add": ["X", "Y"], "drop": ["ALL"]}}
    readiness = _judged(metadata={"namespace": "default"}, security=capabilities, command=["\0"])
    assert not readiness.is_ready
    assert len(readiness.violations) == 4


def test_a_config_that_is_not_stored_yet_has_no_wrong_namespace() -> None:
    """A manifest without a namespace is judged by what it says."""
    assert _judged(metadata={"namespace": None}).is_ready


def test_the_system_namespace_is_the_operators_setting() -> None:
    """Configs count only there."""
    assert not judge_config(a_config(), Settings(system_namespace="tools")).is_ready


@pytest.mark.parametrize("level", ["low", "Medium", "HIGH", "extreme"])
def test_a_risk_level_may_be_written_in_any_case(level: str) -> None:
    """It raises the tier, never lowers it."""
    readiness = _judged(metadata={"annotations": {"security.toe.run/risk-level": level}})
    assert readiness.is_ready
    assert readiness.tier == level.capitalize()


@pytest.mark.parametrize(
    ("spec", "reason", "field"),
    [
        (
            {"security": {"capabilities": {"add": ["SYS_PTRACE"]}}},
            Reason.CAPABILITY_INEFFECTIVE,
            "spec.security.capabilities.add",
        ),
        (
            {"security": {"capabilities": None, "runAsRoot": True}},
            Reason.DROP_ALL_MISSING,
            "spec.security.capabilities.drop",
        ),
        ({"image": "aperf:v1"}, Reason.IMAGE_NOT_PINNED, "spec.image"),
        ({"command": None}, Reason.NOT_SUPERVISED, "spec.supervised"),
        ({"arguments": {"any": True}}, Reason.ARBITRARY_ARGUMENTS, "spec.arguments.any"),
        (
            {"security": {"runAsRoot": True, "capabilities": {"add": ["SYS_MODULE"]}}},
            Reason.EXTREME_NEEDS_NAMESPACES,
            "spec.allowedNamespaces",
        ),
    ],
)
def test_what_is_worth_knowing_is_a_finding_and_stops_nothing(spec: dict[str, Any], reason: Reason, field: str) -> None:
    """A finding is told; the config stays ready."""
    readiness = _judged(**spec)
    assert readiness.is_ready
    assert [(finding.reason, finding.field) for finding in readiness.findings] == [(reason, field)]
    assert readiness.findings[0].message


def test_privileged_without_root_has_no_effect_either() -> None:
    """The message names what is without effect."""
    readiness = _judged(security={"allowPrivileged": True, "runAsUser": 7, "runAsGroup": 7}, allowedNamespaces=["a"])
    (finding,) = readiness.findings
    assert finding.message.startswith("privileged has no effect unless")
    assert _judged(security={"allowPrivileged": True, "runAsRoot": True}, allowedNamespaces=["a"]).findings == ()


@pytest.mark.parametrize("file", sorted((HERE / "source").glob("*-config.yaml")), ids=lambda f: f.stem)
def test_every_config_of_the_source_document_becomes_ready(file: Path) -> None:
    """In the system namespace, whatever its tier."""
    (document,) = read_documents(file.read_text())
    document.raw["metadata"]["namespace"] = "toe-system"
    config = decode(document.raw)
    assert isinstance(config, PowerToolConfig)
    readiness = judge_config(config, SETTINGS)
    assert readiness.violations == ()
    expected = {"basic-tool": "Low", "aperf": "Medium", "system-analyzer": "High", "kernel-debugger": "Extreme"}
    assert readiness.tier == expected[config.spec.name]


def test_every_tool_of_the_go_implementation_that_loads_becomes_ready() -> None:
    """Its resources and its name of security are understood."""
    for document in read_documents((HERE / "go" / "loads.yaml").read_text()):
        manifest = decode(document.raw)
        if isinstance(manifest, PowerToolConfig):
            assert judge_config(manifest, SETTINGS).violations == ()


def test_the_digest_speaks_of_the_spec_alone() -> None:
    """The same spec has the same digest, in whatever order it was written; another one has another."""
    config = a_config(metadata={"name": "other"})
    assert digest_of(config.spec) == digest_of(a_config().spec)
    assert digest_of(a_config(suspended=False).spec) == digest_of(a_config().spec)
    raw = msgspec.to_builtins(config.spec)
    reordered = msgspec.convert(dict(reversed(raw.items())), type(config.spec))
    assert digest_of(reordered) == digest_of(config.spec)
    assert digest_of(a_config(defaultArgs=["x"]).spec) != digest_of(config.spec)
