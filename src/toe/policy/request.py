"""Everything that a check may look at. A fact that is not known is None and leads to Undecided, never to a default."""

from collections.abc import Mapping
from datetime import datetime

from toe.api.meta import Struct
from toe.api.pod import Pod
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import PowerToolConfig, Tier
from toe.api.settings import Settings
from toe.policy.access import NO_ANSWERS, Answers
from toe.policy.readiness import Readiness


class JudgedConfig(Struct, frozen=True):
    """Is a config with what toe thinks of it; readiness is computed from the spec, never read from its status."""

    config: PowerToolConfig
    readiness: Readiness


class Request(Struct, frozen=True):
    """Is one run in front of the judge."""

    run: PowerTool
    configs: tuple[JudgedConfig, ...] = ()
    """Every config of the system namespace that holds the tool's name: none, one, or an ambiguity."""
    tool_names: tuple[str, ...] = ()
    """All tool names, for "did you mean"."""
    settings: Settings = Settings()
    namespace_labels: Mapping[str, str] | None = None
    """Labels of the run's namespace; None when the namespace is not known."""
    matching: int | None = None
    """How many eligible pods match the selector; None when nobody looked."""
    access: Answers = NO_ANSWERS
    """What the API server said about the requester's rights; a right that is not here was not answered."""
    active: int | None = None
    """How many other runs of the namespace hold pods, or are about to; None when nobody looked."""
    fence_missing: str = ""
    """What is missing of the fence where one is expected; empty when it is in force, or none is expected."""
    now: datetime | None = None
    """When this is judged; None offline, where ages do not matter."""

    @property
    def config(self) -> PowerToolConfig | None:
        """Is the one config to be used; None while there is none or more than one."""
        return self.configs[0].config if len(self.configs) == 1 else None


class TargetRequest(Struct, frozen=True):
    """Is one pod of a run in front of the judge."""

    run: PowerTool
    config: PowerToolConfig
    pod: Pod
    tier: Tier = "Low"
    """The config's own tier."""
    settings: Settings = Settings()
    access: Answers = NO_ANSWERS
