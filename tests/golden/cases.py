"""Golden cases: what the controller sees as a file, what it would do as another. A change of behaviour is a diff."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import yaml

from tests.builders import a_snapshot
from toe.api.meta import Struct
from toe.api.pod import Pod
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.settings import Settings
from toe.plan.actions import Action, Plan, WriteConfigStatus, WriteStatus
from toe.plan.planner import plan
from toe.plan.snapshot import Rival, Snapshot
from toe.policy.verdict import Violation

HERE = Path(__file__).parent / "plan"


class Case(Struct, frozen=True):
    """Is a Snapshot as a person writes it: objects by kind; what is computed from them is left out."""

    now: datetime
    run: PowerTool
    configs: tuple[PowerToolConfig, ...] = ()
    pods: tuple[Pod, ...] = ()
    namespace_labels: Mapping[str, str] | None = None
    rivals: tuple[Rival, ...] = ()
    refusals: Mapping[str, Violation] = {}
    last_written: datetime | None = None
    settings: Settings = Settings()

    def snapshot(self) -> Snapshot:
        """Returns what the controller would observe."""
        return a_snapshot(
            self.run,
            self.pods,
            configs=self.configs,
            now=self.now,
            namespace_labels=self.namespace_labels,
            rivals=self.rivals,
            refusals=self.refusals,
            last_written=self.last_written,
            settings=self.settings,
        )


def names() -> list[str]:
    """Returns the names of all cases."""
    return sorted(path.parent.name for path in HERE.glob("*/snapshot.yaml"))


def read_case(name: str) -> Case:
    """Reads the snapshot of a case; a field that no type has is an error, not a comment."""
    raw = yaml.safe_load((HERE / name / "snapshot.yaml").read_text())
    case = msgspec.convert(raw, Case, strict=False)
    unread = sorted(_leaves(raw) - _leaves(_plain(case)))
    assert not unread, f"{name}/snapshot.yaml holds what no type reads: {unread}"
    return case


def plan_as_text(name: str) -> str:
    """Returns what the planner does about a case, as it is written to plan.yaml."""
    return as_text(plan(read_case(name).snapshot()))


def as_text(made: Plan) -> str:
    """Writes a plan as YAML: each action by its name, then when to look again."""
    raw = {"actions": [_action(action) for action in made.actions], "lookAgain": made.look_again}
    return str(yaml.safe_dump(_plain(raw), sort_keys=False, allow_unicode=True, width=110))


def _action(action: Action) -> dict[str, Any]:
    name = type(action).__name__
    match action:
        case WriteStatus(run=run, status=status):
            return {name: {"run": run.metadata.name, "status": status}}
        case WriteConfigStatus(config=config, status=status):
            return {name: {"config": config.metadata.name, "status": status}}
        case _:
            return {name: action}


def _plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def _leaves(value: Any, path: str = "") -> set[str]:
    if isinstance(value, dict) and value:
        return {leaf for key, item in value.items() for leaf in _leaves(item, f"{path}.{key}")}
    if isinstance(value, list) and value:
        return {leaf for index, item in enumerate(value) for leaf in _leaves(item, f"{path}[{index}]")}
    return {path}
