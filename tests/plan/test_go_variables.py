"""Tools of the Go implementation find their variables under ``compat``, and nobody else does."""

import msgspec

from tests.builders import Raw, a_config, a_container_status, a_pod, a_powertool, at
from tests.properties.test_render import expand
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.settings import PROFILES
from toe.plan.container import ContainerSecurity, render
from toe.plan.go_variables import GO_VARIABLES, MOST_WORDS, go_names

UNKNOWN = a_pod(status={"containerStatuses": [a_container_status("app", uid=None)]})


def _variables(run: PowerTool, config: PowerToolConfig | None = None, profile: str = "compat") -> dict[str, str]:
    settings = PROFILES[profile]  # type: ignore[index]
    container = render(run, config or a_config(), a_pod(), "app", at(640), settings)
    names = [variable.name for variable in container.env]
    assert len(names) == len(set(names))
    return {variable.name: variable.value for variable in container.env}


def _go(run: PowerTool, config: PowerToolConfig | None = None) -> dict[str, str]:
    return {name: value for name, value in _variables(run, config).items() if name in GO_VARIABLES and value}


def test_every_name_has_its_value() -> None:
    """As the Go implementation wrote them, the job being the run."""
    run = a_powertool(tool={"duration": "90s", "warmup": "5s", "args": ["-c", "5 6"]})
    assert _go(run) == {
        "PROFILER_TOOL": "aperf",
        "PROFILER_DURATION": "90s",
        "PROFILER_WARMUP": "5s",
        "DURATION": "90s",
        "TARGET_POD_NAME": "web-1",
        "TARGET_NAMESPACE": "production",
        "TARGET_CONTAINER_NAME": "app",
        "POD_MATCHING_LABELS": "app-web",
        "OUTPUT_MODE": "ephemeral",
        "TOOL_ARGS": "-c 5 6",
        "TOOL_ARG_0": "-c",
        "TOOL_ARG_1": "5 6",
        "POWERTOOL_JOB_ID": "profile-web",
    }


def test_a_selector_without_labels_matches_unknown() -> None:
    """As there."""
    expression = {"key": "app", "operator": "Exists"}
    run = a_powertool(targets={"labelSelector": {"matchLabels": None, "matchExpressions": [expression]}})
    assert _go(run)["POD_MATCHING_LABELS"] == "unknown"


def test_a_claim_has_its_directory() -> None:
    """Where the claim is mounted, and below that what keeps runs and pods apart."""
    output: Raw = {"modes": ["pvc"], "volumes": [{"claimName": "data", "path": "/mnt/data"}]}
    run = a_powertool(output={"mode": "pvc", "pvc": {"claimName": "data", "path": "x"}})
    assert _go(run, a_config(output=output))["PVC_PATH"] == "/mnt/data/x/profile-web/web-1"


def test_names_are_the_same_for_every_run() -> None:
    """And words beyond the last name are in args only, as the words before it are too."""
    many = a_powertool(tool={"args": [f"w{number}" for number in range(MOST_WORDS + 5)]})
    assert list(_variables(many)) == list(_variables(a_powertool()))
    assert _variables(many)["TOOL_ARG_31"] == "w31"


def test_dollars_are_doubled() -> None:
    """So that the kubelet, which expands ``$(NAME)`` in values too, gives the tool what was written."""
    word = "$(TOE_RUN) $$ $X"
    found = _variables(a_powertool(tool={"args": [word]}))
    assert "$(" not in found["TOOL_ARG_0"].replace("$$", "")
    assert expand(found["TOOL_ARG_0"]) == expand(found["TOOL_ARGS"]) == word


def test_a_config_that_sets_one_itself_keeps_its_value() -> None:
    """A variable is the operator's or the administrator's, never both."""
    config = a_config(env=[{"name": "DURATION", "value": "7"}])
    assert _variables(a_powertool(), config)["DURATION"] == "7"
    assert "DURATION" not in go_names(config)


def test_no_other_profile_has_them() -> None:
    """They are for tools that nobody rewrites."""
    for profile in ("standard", "hardened"):
        assert not set(_variables(a_powertool(), profile=profile)) & set(GO_VARIABLES)


def test_a_tool_whose_target_nobody_knows_runs_as_its_images_user() -> None:
    """Without ids; that it is not root is still for the kubelet to keep where the config says so."""
    for is_root, expected in ((None, False), (False, True)):
        security = {"capabilities": {"drop": ["ALL"]}, **({} if is_root is None else {"runAsRoot": is_root})}
        config = a_config(security=security)
        context = render(a_powertool(), config, UNKNOWN, "app", at(640), PROFILES["compat"]).security_context
        assert isinstance(context, ContainerSecurity)
        raw = msgspec.to_builtins(context)
        assert not {"runAsUser", "runAsGroup"} & set(raw)
        assert raw["runAsNonRoot"] is expected
