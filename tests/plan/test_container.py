"""The ephemeral container, field by field."""

import json
from typing import Any

import msgspec
import pytest

from tests.builders import SETTINGS, a_config, a_container_status, a_pod, a_powertool, at
from toe.api.pod import Pod
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.settings import Settings
from toe.api.ticket import Ticket
from toe.plan.container import (
    TICKET,
    ToolContainer,
    VolumeMount,
    container_name,
    render,
    ticket,
    tool_identity,
    words,
)
from toe.policy.identity import Identity

ALLOWED_FIELDS = {
    "name",
    "image",
    "imagePullPolicy",
    "command",
    "args",
    "env",
    "securityContext",
    "targetContainerName",
    "volumeMounts",
}


NOT_AFTER = at(640)
WITH_COLLECTOR = msgspec.structs.replace(SETTINGS, collector="https://collector", collector_ca="a certificate")


def _render(
    run: PowerTool | None = None,
    config: PowerToolConfig | None = None,
    pod: Pod | None = None,
    settings: Settings = SETTINGS,
) -> ToolContainer:
    return render(run or a_powertool(), config or a_config(), pod or a_pod(), "app", NOT_AFTER, settings)


def _env(container: ToolContainer) -> dict[str, str]:
    return {variable.name: variable.value for variable in container.env}


def _security(**security: Any) -> dict[str, Any]:
    raw: dict[str, Any] = msgspec.to_builtins(_render(config=a_config(security=security)).security_context)
    return raw


def test_the_container_whole() -> None:
    """Everything that is sent, and nothing else."""
    assert msgspec.json.decode(msgspec.json.encode(_render())) == {
        "name": "toe-aperf-bdfd476abf",
        "image": a_config().spec.image,
        "targetContainerName": "app",
        "command": ["/toe-run", "--", "aperf", "record", "--user-args--"],
        "securityContext": {
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": [], "drop": ["ALL"]},
            "runAsUser": 1000,
            "runAsGroup": 1000,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "env": [
            {"name": "TOE_RUN", "value": "profile-web"},
            {"name": "TOE_TOOL", "value": "aperf"},
            {"name": "TOE_NAMESPACE", "value": "production"},
            {"name": "TOE_POD", "value": "web-1"},
            {"name": "TOE_CONTAINER", "value": "app"},
            {"name": "TOE_CONTAINER_ID", "value": "c1"},
            {"name": "TOE_DURATION", "value": "30s"},
            {"name": "TOE_WARMUP", "value": "0s"},
            {"name": "TOE_GRACE", "value": "10s"},
            {"name": "TOE_NOT_AFTER", "value": "2026-03-01T12:10:40Z"},
            {"name": "TOE_STOP_SIGNAL", "value": "SIGINT"},
            {"name": "TOE_LIMITS", "value": '{"artifactBytes":1073741824}'},
            {"name": "TOE_MODE", "value": "ephemeral"},
            {"name": "TOE_OUTPUT", "value": "/tmp/toe-output"},
            {"name": "TOE_SUMMARY_MAX", "value": "1024"},
            {"name": "TOE_FILES", "value": "withheld"},
        ],
    }


def test_there_is_no_field_that_kubernetes_forbids() -> None:
    """No resources, ports, probes, lifecycle, restartPolicy: there is no place to write them (I-02)."""
    assert set(ToolContainer.__struct_encode_fields__) == ALLOWED_FIELDS


def test_the_security_of_a_privileged_tool() -> None:
    """Privileged allows escalation and has no seccomp profile, which would be ignored (I-04)."""
    context = _security(allowPrivileged=True, runAsRoot=True)
    assert context == {
        "privileged": True,
        "allowPrivilegeEscalation": True,
        "capabilities": {"add": (), "drop": ("ALL",)},
        "runAsUser": 0,
        "runAsGroup": 0,
        "runAsNonRoot": False,
    }


def test_every_field_is_explicit_even_when_nothing_is_stated() -> None:
    """What is not there is what an auditor looks for (I-03)."""
    context = _security(capabilities=None, seccompProfile="Unconfined")
    assert context["capabilities"] == {"add": (), "drop": ()}
    assert context["seccompProfile"] == {"type": "Unconfined"}
    assert not context["allowPrivilegeEscalation"]


@pytest.mark.parametrize(
    ("security", "target", "expected"),
    [
        ({"runAsRoot": True}, Identity(5, 6), Identity(0, 0)),
        ({"runAsUser": 7, "runAsGroup": 8}, Identity(5, 6), Identity(7, 8)),
        ({}, Identity(5, 6), Identity(5, 6)),
        ({"runAsRoot": False}, Identity(5, 6), Identity(5, 6)),
        ({}, None, None),
    ],
)
def test_the_tools_identity_is_roots_the_configs_or_the_targets(
    security: dict[str, Any], target: Identity | None, expected: Identity | None
) -> None:
    """In this order; not known is not known."""
    assert tool_identity(a_config(security=security).spec.effective_security, target) == expected


def test_a_container_without_a_known_identity_is_never_built() -> None:
    """A guess would be the image's user, often root."""
    pod = a_pod(status={"containerStatuses": [a_container_status("app", uid=None)]})
    with pytest.raises(ValueError, match="the identity of web-1/app is not known"):
        _render(pod=pod)


def test_names_are_the_same_for_the_same_run_and_pod_and_fit_a_dns_label() -> None:
    """Whoever asks and however often; another run, pod or attempt has another name (I-42)."""
    name = container_name("a" * 40, "run", "pod")
    assert name == container_name("a" * 40, "run", "pod", 0)
    assert len(name) <= 63
    others = {container_name("a" * 40, *rest) for rest in (("run2", "pod"), ("run", "pod2"), ("run", "pod", 1))}
    assert len(others | {name}) == 4
    assert len({container_name("t", f"run-{i}", "pod") for i in range(20_000)}) == 20_000


def test_the_administrators_words_are_the_command_and_the_users_are_args() -> None:
    """The command is constant for a config, so that the API server can compare it."""
    config = a_config(defaultArgs=["-o", "{output}/x"])
    assert words(config, ("-n", "$(A)")) == (
        ("/toe-run", "--", "aperf", "record", "-o", "{output}/x", "--user-args--"),
        ("-n", "$$(A)"),
    )
    assert words(config, ())[0] == words(config, ("x",))[0]


def test_an_unsupervised_tool_gets_its_words_without_the_supervisor() -> None:
    """With a command it replaces the entry point; without one the entry point gets all words as arguments."""
    own = a_config(supervised=False, defaultArgs=["$x"])
    assert words(own, ("u",)) == (("aperf", "record", "$$x"), ("u",))
    entry_point = a_config(command=None, defaultArgs=["$x"])
    assert words(entry_point, ("u",)) == ((), ("$$x", "u"))
    assert words(a_config(command=None), ()) == ((), ())


def test_limits_are_the_strictest_stated() -> None:
    """The user's CPU limit counts when it is stricter; a limit that is not stated is not there."""
    config = a_config(limits={"cpuPercent": 50, "memory": "1Ki", "maxArtifactBytes": 7})
    limits = {
        wanted: json.loads(_env(_render(a_powertool(tool={"maxCPUPercent": wanted}), config))["TOE_LIMITS"])
        for wanted in (20, 90, None)
    }
    assert limits[20] == {"memoryBytes": 1024, "cpuPercent": 20, "artifactBytes": 7}
    assert limits[90]["cpuPercent"] == limits[None]["cpuPercent"] == 50


def test_environment_of_the_administrator_is_literal_and_comes_last() -> None:
    """The kubelet expands $(NAME): each $ is doubled."""
    container = _render(config=a_config(env=[{"name": "LANG", "value": "$(TOE_RUN)"}, {"name": "EMPTY"}]))
    assert [(v.name, v.value) for v in container.env[-2:]] == [("LANG", "$$(TOE_RUN)"), ("EMPTY", "")]


def test_the_summary_gets_its_share_of_the_termination_messages() -> None:
    """The kubelet divides 12 KiB among all containers of a pod."""
    many = a_pod(spec={"containers": [{"name": "app"}] + [{"name": f"c{i}"} for i in range(30)]})
    assert _env(_render(pod=many))["TOE_SUMMARY_MAX"] == str(12 * 1024 // 32)


def test_a_target_without_a_report_has_no_id() -> None:
    """The identity may be known from the pod alone."""
    pod = a_pod(
        spec={"securityContext": {"runAsUser": 1, "runAsGroup": 2}},
        status={"containerStatuses": None},
    )
    assert _env(_render(pod=pod))["TOE_CONTAINER_ID"] == ""


def test_warmup_and_pull_policy_are_passed_on() -> None:
    """One is the user's, the other the administrator's."""
    container = _render(a_powertool(tool={"warmup": "5s"}), a_config(imagePullPolicy="Never"))
    assert _env(container)["TOE_WARMUP"] == "5s"
    assert container.image_pull_policy == "Never"


CLAIM = {"claimName": "results", "path": "/results"}
WITH_CLAIM = {"volumes": [{"name": "authors-name", "persistentVolumeClaim": {"claimName": "results"}}]}
TO_CLAIM = a_config(output={"modes": ["pvc"], "volumes": [CLAIM]})


def test_a_claim_is_mounted_by_the_volume_it_is_behind() -> None:
    """At the config's path, in a directory of the run's own; no other mode mounts anything."""
    run = a_powertool(output={"mode": "pvc", "pvc": {"claimName": "results", "path": "web/cpu"}})
    container = _render(run, TO_CLAIM, a_pod(spec=WITH_CLAIM))
    assert container.volume_mounts == (VolumeMount(name="authors-name", mount_path="/results"),)
    assert _env(container)["TOE_CLAIM"] == "/results"
    assert _env(container)["TOE_CLAIM_PATH"] == "web/cpu/profile-web/web-1"
    bare = _render(
        a_powertool(output={"mode": "pvc", "pvc": {"claimName": "results"}}), TO_CLAIM, a_pod(spec=WITH_CLAIM)
    )
    assert _env(bare)["TOE_CLAIM_PATH"] == "toe/profile-web/web-1"
    assert _render(a_powertool(), TO_CLAIM, a_pod(spec=WITH_CLAIM)).volume_mounts == ()


def test_a_claim_that_is_not_listed_is_not_mounted() -> None:
    """Whatever came past the checks, a mount is an administrator's claim that the pod has."""
    run = a_powertool(output={"mode": "pvc", "pvc": {"claimName": "other"}})
    pod = a_pod(spec={"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "other"}}]})
    container = _render(run, TO_CLAIM, pod)
    assert container.volume_mounts == ()
    assert "TOE_CLAIM" not in _env(container)


def test_files_leave_through_the_log_where_an_administrator_said_so() -> None:
    """A tool that reaches memory or traffic keeps its files, unless the config lists ephemeral."""
    assert _env(_render())["TOE_FILES"] == "withheld"
    assert "TOE_FILES" not in _env(_render(config=a_config(output={"modes": ["ephemeral"]})))
    harmless = a_config(security={"runAsRoot": True, "capabilities": {"drop": ["ALL"]}})
    assert "TOE_FILES" not in _env(_render(config=harmless))
    assert "TOE_FILES" not in _env(_render(a_powertool(output={"mode": "collector"})))


def test_every_supervised_tool_is_told_of_the_collector() -> None:
    """Whatever its mode: it holds a lease there. The ticket itself is not in a plan."""
    env = _env(_render(settings=WITH_COLLECTOR))
    assert (env["TOE_COLLECTOR"], env["TOE_CA"]) == (WITH_COLLECTOR.collector, WITH_COLLECTOR.collector_ca)
    assert TICKET not in env
    kept = {"mode": "collector", "compress": "zstd", "rollingInterval": "10s"}
    env = _env(_render(a_powertool(output=kept), settings=WITH_COLLECTOR))
    assert (env["TOE_MODE"], env["TOE_COMPRESS"], env["TOE_ROLLING"]) == ("collector", "zstd", "10s")
    assert "TOE_COLLECTOR" not in _env(_render(config=a_config(command=None), settings=WITH_COLLECTOR))


def test_a_ticket_is_for_one_container_of_one_run() -> None:
    """The same for the same run and pod; without a limit of bytes it is good for a lease only."""
    pod = a_pod(status={"podIPs": [{"ip": "10.1.0.7"}, {"ip": "fd00::7"}]})
    one = _ticket(a_powertool(output={"mode": "collector", "retentionDays": 3}), pod)
    assert one is not None
    assert one == _ticket(a_powertool(output={"mode": "collector", "retentionDays": 3}), pod)
    assert (one.namespace, one.run, one.pod, one.target) == ("production", "profile-web", "web-1", "app")
    assert one.container == container_name("aperf", one.run_uid, one.pod_uid)
    assert (one.max_bytes, one.retention_days, one.pod_ips) == (2**30, 3, ("10.1.0.7", "fd00::7"))
    assert one.expires_at == NOT_AFTER + WITH_COLLECTOR.upload_allowance
    other = _ticket(a_powertool(), a_pod("web-2"))
    assert other is not None
    assert other.id != one.id
    assert (other.max_bytes, other.retention_days) == (0, None)


def test_no_collector_no_ticket() -> None:
    """Nor without a supervisor, who would hold the lease."""
    assert ticket(a_powertool(), a_config(), a_pod(), "app", NOT_AFTER, Settings()) is None
    assert ticket(a_powertool(), a_config(command=None), a_pod(), "app", NOT_AFTER, WITH_COLLECTOR) is None


def _ticket(run: PowerTool, pod: Pod) -> Ticket | None:
    return ticket(run, a_config(), pod, "app", NOT_AFTER, WITH_COLLECTOR)
