"""The variables of the Go implementation by their names, for tools that were written for it: profile ``compat`` only.

The names are constant, so that no run changes what a container has (I-01): words that were not given are empty, where
the Go implementation's tools stop reading. The supervisor needs none of them.
"""

from toe.api.pod import Pod
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import PowerToolConfig

MOST_WORDS = 32
_WORDS = tuple(f"TOOL_ARG_{number}" for number in range(MOST_WORDS))
GO_VARIABLES = (
    "PROFILER_TOOL",
    "PROFILER_DURATION",
    "PROFILER_WARMUP",
    "DURATION",
    "TARGET_POD_NAME",
    "TARGET_NAMESPACE",
    "TARGET_CONTAINER_NAME",
    "POD_MATCHING_LABELS",
    "OUTPUT_MODE",
    "TOOL_ARGS",
    *_WORDS,
    "PVC_PATH",
    "POWERTOOL_JOB_ID",
)
"""Every name, in the order in which they are written."""


def go_names(config: PowerToolConfig) -> tuple[str, ...]:
    """Returns the names that a config leaves to the operator: its own variables keep the value that it gives them."""
    own = {variable.name for variable in config.spec.env or ()}
    return tuple(name for name in GO_VARIABLES if name not in own)


def go_values(
    run: PowerTool, config: PowerToolConfig, pod: Pod, container: str, directory: str
) -> list[tuple[str, str]]:
    """Returns names and values; ``directory`` is where on a mounted claim the files go, empty without one."""
    tool, args = run.spec.tool, run.spec.tool.args or ()
    labels = sorted((run.spec.targets.label_selector.match_labels or {}).items())
    words = dict(zip(_WORDS, args, strict=False))
    values = {
        "PROFILER_TOOL": config.spec.name,
        "PROFILER_DURATION": tool.duration,
        "PROFILER_WARMUP": tool.warmup or "0s",
        "DURATION": tool.duration,
        "TARGET_POD_NAME": pod.metadata.name,
        "TARGET_NAMESPACE": run.metadata.namespace,
        "TARGET_CONTAINER_NAME": container,
        "POD_MATCHING_LABELS": "-".join(labels[0]) if labels else "unknown",
        "OUTPUT_MODE": run.spec.output.mode,
        "TOOL_ARGS": " ".join(args),
        "PVC_PATH": directory,
        "POWERTOOL_JOB_ID": run.metadata.name,
    }
    return [(name, values.get(name, words.get(name, ""))) for name in go_names(config)]
