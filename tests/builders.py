"""Words for tests: each builder takes only the difference and goes through the production codec.

A run, a config and a pod that fit together are the default, so that a test shows what it is about and nothing else. A
difference is a mapping merged into the default, ``None`` takes a field away, a list replaces a list.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from toe.api.codec import decode
from toe.api.meta import API_VERSION
from toe.api.pod import Pod
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.settings import Settings
from toe.api.time import format_time
from toe.plan.container import ToolContainer
from toe.plan.snapshot import ConfigSnapshot, Rival, Snapshot
from toe.policy.access import Answers, Question
from toe.policy.identity import is_eligible
from toe.policy.readiness import judge_config
from toe.policy.request import JudgedConfig, Request, TargetRequest
from toe.policy.verdict import Violation

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SETTINGS = Settings()
DIGEST = "registry.example/toe/aperf@sha256:" + "0123456789abcdef" * 4

Raw = dict[str, Any]


class _EveryRight(dict[Question, bool | None]):
    """Answers yes to every question about rights, as the API server does for an administrator."""

    def __missing__(self, question: Question) -> bool:
        return True

    def get(self, question: Question, default: bool | None = None) -> bool | None:  # type: ignore[override]
        return dict.get(self, question, True)


EVERY_RIGHT = _EveryRight()

APPROVED: Raw = {
    "annotations": {
        "security.toe.run/risk-level": "extreme",
        "security.toe.run/justification": "kernel debugging",
        "security.toe.run/approved-by": "security@example.com",
    }
}
"""Metadata of a config whose tool of tier Extreme was approved."""


def at(seconds: float) -> datetime:
    """Is a moment, counted from NOW."""
    return NOW + timedelta(seconds=seconds)


def when(seconds: float) -> str:
    """Is a moment as the API writes it, counted from NOW."""
    return format_time(at(seconds))


def merged(base: Mapping[str, Any], difference: Mapping[str, Any]) -> Raw:
    """Returns ``base`` with the difference merged in; None takes a field away."""
    result = dict(base)
    for key, value in difference.items():
        before = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(before, Mapping):
            result[key] = merged(before, value)
        else:
            result[key] = value
    return result


def powertool_manifest(metadata: Raw | None = None, status: Raw | None = None, **spec: Any) -> Raw:
    """Returns the manifest of a run; keywords are fields of its spec."""
    base = {
        "apiVersion": API_VERSION,
        "kind": "PowerTool",
        "metadata": {
            "name": "profile-web",
            "namespace": "production",
            "uid": "run-1",
            "generation": 1,
            "creationTimestamp": when(0),
        },
        "spec": {
            "targets": {"labelSelector": {"matchLabels": {"app": "web"}}},
            "tool": {"name": "aperf", "duration": "30s"},
            "requester": {"username": "alice", "groups": ["system:authenticated"]},
        },
    }
    return merged(base, {"metadata": metadata or {}, "spec": spec} | ({"status": status} if status else {}))


def a_powertool(metadata: Raw | None = None, status: Raw | None = None, **spec: Any) -> PowerTool:
    """Returns a run as the API server would have accepted it."""
    run = decode(powertool_manifest(metadata, status, **spec))
    assert isinstance(run, PowerTool)
    return run


def a_smuggled_powertool(metadata: Raw | None = None, **spec: Any) -> PowerTool:
    """Returns a run that came past the schema: an older CRD, a restored backup."""
    return msgspec.convert(powertool_manifest(metadata, **spec), PowerTool)


def config_manifest(metadata: Raw | None = None, status: Raw | None = None, **spec: Any) -> Raw:
    """Returns the manifest of a config; keywords are fields of its spec."""
    base = {
        "apiVersion": API_VERSION,
        "kind": "PowerToolConfig",
        "metadata": {"name": "aperf-config", "namespace": "toe-system", "uid": "config-1", "generation": 1},
        "spec": {
            "name": "aperf",
            "image": DIGEST,
            "security": {"capabilities": {"drop": ["ALL"]}},
            "command": ["aperf", "record"],
        },
    }
    return merged(base, {"metadata": metadata or {}, "spec": spec} | ({"status": status} if status else {}))


def a_config(metadata: Raw | None = None, status: Raw | None = None, **spec: Any) -> PowerToolConfig:
    """Returns a config as the API server would have accepted it."""
    config = decode(config_manifest(metadata, status, **spec))
    assert isinstance(config, PowerToolConfig)
    return config


def a_smuggled_config(metadata: Raw | None = None, **spec: Any) -> PowerToolConfig:
    """Returns a config that came past the schema."""
    return msgspec.convert(config_manifest(metadata, **spec), PowerToolConfig)


def a_pod(
    name: str = "web-1", *, metadata: Raw | None = None, spec: Raw | None = None, status: Raw | None = None
) -> Pod:
    """Returns a running pod with one container ``app`` that runs as 1000:1000."""
    base = {
        "metadata": {
            "name": name,
            "namespace": "production",
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "labels": {"app": "web"},
        },
        "spec": {"containers": [{"name": "app", "image": "shop:1"}], "nodeName": "node-1"},
        "status": {"phase": "Running", "containerStatuses": [a_container_status("app")]},
    }
    difference = {"metadata": metadata or {}, "spec": spec or {}, "status": status or {}}
    return msgspec.convert(merged(base, difference), Pod)


def a_container_status(
    name: str, *, container_id: str = "c1", uid: int | None = 1000, gid: int = 1000, **state: Any
) -> Raw:
    """Returns the kubelet's report of a running container; ``uid=None`` is a kubelet that does not tell users."""
    status: Raw = {
        "name": name,
        "containerID": f"containerd://{container_id}",
        "state": state or {"running": {"startedAt": when(-600)}},
    }
    return status if uid is None else {**status, "user": {"linux": {"uid": uid, "gid": gid}}}


def with_tool(pod: Pod, container: ToolContainer, **state: Any) -> Pod:
    """Returns the pod after the API server added ``container`` and the kubelet reported ``state`` (none: not yet)."""
    raw = msgspec.to_builtins(pod)
    added = [*raw.get("spec", {}).get("ephemeralContainers", ()), msgspec.to_builtins(container)]
    told = [s for s in raw["status"].get("ephemeralContainerStatuses", ()) if s["name"] != container.name]
    if state:
        told.append({"name": container.name, "imageID": "registry.example/toe/aperf@sha256:ran", "state": state})
    version = str(int(raw["metadata"]["resourceVersion"]) + 1)
    difference = {
        "metadata": {"resourceVersion": version},
        "spec": {"ephemeralContainers": added},
        "status": {"ephemeralContainerStatuses": told},
    }
    return msgspec.convert(merged(raw, difference), Pod)


def judged(*configs: PowerToolConfig, settings: Settings = SETTINGS) -> tuple[JudgedConfig, ...]:
    """Returns configs with what toe thinks of them."""
    return tuple(JudgedConfig(config=config, readiness=judge_config(config, settings)) for config in configs)


def a_request(
    run: PowerTool | None = None,
    *configs: PowerToolConfig,
    namespace_labels: Mapping[str, str] | None = None,
    matching: int | None = None,
    tool_names: tuple[str, ...] = (),
    settings: Settings = SETTINGS,
    access: Answers | None = None,
    now: datetime = NOW,
) -> Request:
    """Returns a run in front of the judge, with the one default config unless others are given."""
    return Request(
        run=run or a_powertool(),
        configs=judged(*(configs or (a_config(),)), settings=settings),
        tool_names=tool_names,
        settings=settings,
        namespace_labels=namespace_labels,
        matching=matching,
        access=EVERY_RIGHT if access is None else access,
        now=now,
    )


def a_target_request(
    pod: Pod | None = None, *, run: PowerTool | None = None, config: PowerToolConfig | None = None, **more: Any
) -> TargetRequest:
    """Returns one pod of a run in front of the judge."""
    return TargetRequest(run=run or a_powertool(), config=config or a_config(), pod=pod or a_pod(), **more)


def a_snapshot(
    run: PowerTool | None = None,
    pods: Iterable[Pod] | None = None,
    *,
    configs: Iterable[PowerToolConfig] | None = None,
    now: datetime = NOW,
    namespace_labels: Mapping[str, str] | None = None,
    rivals: tuple[Rival, ...] = (),
    refusals: Mapping[str, Violation] | None = None,
    last_written: datetime | None = None,
    settings: Settings = SETTINGS,
    access: Answers | None = None,
) -> Snapshot:
    """Returns what the controller would observe: the configs that hold the tool's name, and the pods of the run."""
    run = run or a_powertool()
    pods = [a_pod()] if pods is None else list(pods)
    configs = [a_config()] if configs is None else list(configs)
    holders = [config for config in configs if config.spec.name == run.spec.tool.name]
    frozen = {target.pod_uid for target in run.status.targets}
    matching = [
        pod for pod in pods if is_eligible(pod) and run.spec.targets.label_selector.matches(pod.metadata.labels)
    ]
    return Snapshot(
        now=now,
        request=Request(
            run=run,
            configs=judged(*holders, settings=settings),
            tool_names=tuple(sorted({config.spec.name for config in configs})),
            settings=settings,
            namespace_labels=namespace_labels,
            access=EVERY_RIGHT if access is None else access,
            now=now,
        ),
        matching=() if frozen else tuple(sorted(matching, key=lambda pod: pod.metadata.name)),
        pods={pod.metadata.uid: pod for pod in pods if pod.metadata.uid in frozen},
        rivals=rivals,
        refusals=refusals or {},
        last_written=last_written,
    )


def a_config_snapshot(config: PowerToolConfig | None = None, *holders: str, now: datetime = NOW) -> ConfigSnapshot:
    """Returns a config as the controller would observe it, held by itself alone unless others are named."""
    config = config or a_config()
    (one,) = judged(config)
    return ConfigSnapshot(now=now, config=config, readiness=one.readiness, holders=holders or (config.metadata.name,))


def a_rival(name: str = "other", *pods: str, **difference: Any) -> Rival:
    """Returns another run that holds the pods of these names."""
    facts: Raw = {"uid": f"run-{name}", "created": when(-60), "tools": frozenset(), "holds": True}
    return Rival(name=name, pods=frozenset(f"uid-{pod}" for pod in pods), **(facts | difference))
