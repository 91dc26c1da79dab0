"""No value of any field of a PowerTool changes the security of what runs (I-01 to I-05)."""

import random
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.builders import SETTINGS, Raw, a_pod, a_powertool, at, config_manifest, powertool_manifest
from tests.properties.words import TEMPTING, a_random_run, any_json, configs, runs, words
from toe.api.codec import decode
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.settings import PROFILES, Settings
from toe.errors import DecodeError
from toe.plan.container import ToolContainer, render
from toe.plan.go_variables import GO_VARIABLES
from toe.policy.capabilities import BY_NAME

ENV = ["TOE_RUN", "TOE_TOOL", "TOE_NAMESPACE", "TOE_POD", "TOE_CONTAINER", "TOE_CONTAINER_ID", "TOE_DURATION"]
ENV += ["TOE_WARMUP", "TOE_GRACE", "TOE_NOT_AFTER", "TOE_STOP_SIGNAL", "TOE_LIMITS", "TOE_MODE", "TOE_OUTPUT"]
ENV += ["TOE_SUMMARY_MAX"]
EMPTY = a_powertool()


def _render(run: PowerTool, config: PowerToolConfig, settings: Settings = SETTINGS) -> ToolContainer:
    return render(run, config, a_pod(), "app", at(640), settings)


def _config(raw: Raw) -> PowerToolConfig:
    config = decode(raw)
    assert isinstance(config, PowerToolConfig)
    return config


def _admins_part(container: ToolContainer, config: PowerToolConfig) -> dict[str, Any]:
    """Returns the container without what a run may contribute: its args, the name, the values of operator variables."""
    raw: dict[str, Any] = msgspec.to_builtins(container)
    del raw["name"]
    own_words = len(config.spec.default_args or ()) if config.spec.command is None else 0
    raw["args"] = raw.get("args", ())[:own_words]
    operators = {name for name in GO_VARIABLES if name not in {own.name for own in config.spec.env or ()}}
    raw["env"] = [
        {"name": v["name"]} if v["name"].startswith("TOE_") or v["name"] in operators else v for v in raw["env"]
    ]
    return raw


def _tries(raw: Raw) -> list[PowerTool]:
    """Returns the run as each reader would understand it: the codec, and the decoders of the kube hand."""
    found = []
    for read in (decode, lambda raw: msgspec.convert(raw, PowerTool), _through_json):
        try:
            run = read(raw)
        except (DecodeError, msgspec.ValidationError):
            continue
        assert isinstance(run, PowerTool)
        found.append(run)
    return found


def _through_json(raw: Raw) -> PowerTool:
    return msgspec.json.decode(msgspec.json.encode(raw), type=PowerTool)


@given(raw=runs(), config=configs())
def test_a_run_changes_its_args_and_nothing_of_the_administrators(raw: Raw, config: Raw) -> None:
    """Whatever foreign fields it holds, at whatever depth, however it was read."""
    permitted = _config(config)
    for settings in (SETTINGS, PROFILES["compat"]):
        expected = _admins_part(_render(EMPTY, permitted, settings), permitted)
        for run in _tries(raw):
            assert _admins_part(_render(run, permitted, settings), permitted) == expected


def test_a_thousand_runs_with_foreign_fields_at_every_depth_change_nothing() -> None:
    """Each is read in every way; hypothesis tries fewer, and harder."""
    permitted = [_config(config_manifest(command=command)) for command in (None, ["aperf", "record"])]
    expected = [_admins_part(_render(EMPTY, config), config) for config in permitted]
    read = 0
    for seed in range(1000):
        for run in _tries(a_random_run(random.Random(seed))):
            read += 1
            found = [_admins_part(_render(run, config), config) for config in permitted]
            assert found == expected, f"seed {seed}"
    assert read >= 1000


@pytest.mark.parametrize("field", TEMPTING)
@pytest.mark.parametrize("place", ["", "metadata", "spec", "spec.tool", "spec.targets", "spec.output", "status"])
def test_a_tempting_field_changes_nothing_anywhere(field: str, place: str) -> None:
    """Every name that an attacker tries, in every part of a run."""
    permitted = _config(config_manifest())
    expected = _render(EMPTY, permitted)
    for value in (True, 0, "x", ["x"], [{"name": "x"}], {"privileged": True, "add": ["SYS_ADMIN"]}):
        raw = powertool_manifest()
        part: Any = raw
        for step in filter(None, place.split(".")):
            part = part.setdefault(step, {})
        part[field] = value
        for run in _tries(raw):
            assert _render(run, permitted) == expected


@given(config=configs())
def test_every_container_is_explicit_and_holds_what_kubernetes_accepts(config: Raw) -> None:
    """Names of capabilities are canonical, ALL is dropped only, escalation goes with privileged only (I-02 to I-05)."""
    permitted = _config(config)
    raw = msgspec.to_builtins(_render(EMPTY, permitted))
    context = raw["securityContext"]
    explicit = {"privileged", "allowPrivilegeEscalation", "capabilities", "runAsUser", "runAsGroup", "runAsNonRoot"}
    assert set(context) - {"seccompProfile"} == explicit
    assert context["privileged"] == permitted.spec.effective_security.allow_privileged
    assert context["allowPrivilegeEscalation"] == context["privileged"]
    assert ("seccompProfile" in context) is not context["privileged"]
    assert context["runAsNonRoot"] == (context["runAsUser"] != 0)
    assert set(context["capabilities"]["add"]) <= set(BY_NAME)
    assert set(context["capabilities"]["drop"]) <= {"ALL", *BY_NAME}
    assert [variable["name"] for variable in raw["env"]][: len(ENV)] == ENV
    assert set(raw) <= set(ToolContainer.__struct_encode_fields__)


def expand(text: str) -> str:
    """Expands as the kubelet does, with a variable behind every name.

    Semantics of k8s.io/kubernetes/third_party/forked/golang/expansion, Expand and tryReadVariableName.
    """
    out, checkpoint, cursor = "", 0, 0
    while cursor < len(text):
        if text[cursor] == "$" and cursor + 1 < len(text):
            out += text[checkpoint:cursor]
            read, is_variable, advance = _try_read_name(text[cursor + 1 :])
            out += "EXPANDED" if is_variable else read
            cursor += advance
            checkpoint = cursor + 1
        cursor += 1
    return out + text[checkpoint:]


def _try_read_name(text: str) -> tuple[str, bool, int]:
    if text[0] == "$":
        return "$", False, 1
    if text[0] == "(":
        end = text.find(")", 1)
        return (text[1:end], True, end + 1) if end >= 0 else ("$(", False, 1)
    return "$" + text[0], False, 1


def test_the_expansion_of_the_test_is_the_kubelets() -> None:
    """Cases of expansion_test.go."""
    cases = {
        "$(VAR)": "EXPANDED",
        "$$(VAR)": "$(VAR)",
        "$$$(VAR)": "$EXPANDED",
        "foo$(A)-$(B)bar": "fooEXPANDED-EXPANDEDbar",
        "$(VAR": "$(VAR",
        "$VAR": "$VAR",
        "a$": "a$",
        "$$": "$",
        "$": "$",
        "$()": "EXPANDED",
    }
    assert {text: expand(text) for text in cases} == cases


@given(config=configs(), args=st.lists(words, max_size=4))
@example(config=config_manifest(), args=["$(TOE_RUN)", "$$(A)", "$", "$$", "$(", "$()$"])
def test_the_kubelets_expansion_gives_back_every_word(config: Raw, args: list[str]) -> None:
    """No word of a user or an administrator reads a variable, or is changed."""
    permitted = _config(config)
    run = msgspec.structs.replace(
        EMPTY, spec=msgspec.structs.replace(EMPTY.spec, tool=msgspec.structs.replace(EMPTY.spec.tool, args=tuple(args)))
    )
    container = _render(run, permitted)
    spec = permitted.spec
    admins = [*(spec.command or ()), *(spec.default_args or ())]
    if spec.is_supervised:
        admins = ["/toe-run", "--", *admins, "--user-args--"]
    assert [expand(word) for word in (*container.command, *container.args)] == [*admins, *args]
    variables = {variable.name: expand(variable.value) for variable in container.env}
    assert variables["TOE_TOOL"] == spec.name
    assert all(variables[own.name] == own.value for own in spec.env or ())


@given(value=any_json)
def test_a_user_smuggles_nothing_into_the_environment(value: Any) -> None:
    """Values of operator variables are literal too."""
    run = msgspec.structs.replace(EMPTY, metadata=msgspec.structs.replace(EMPTY.metadata, name=f"$(HOME){value}"))
    container = _render(run, _config(config_manifest()))
    assert expand(container.env[0].value) == f"$(HOME){value}"
