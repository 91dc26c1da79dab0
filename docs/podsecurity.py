"""The page of Pod Security and the tools: what each of the catalogue needs, as toe itself judges its config."""

from pathlib import Path

import yaml

from docs.cells import cell, code, codes, table
from toe.api.codec import decode
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.settings import Settings
from toe.cli.tools import runs_with
from toe.policy.readiness import judge_config

TOOLS = Path(__file__).parents[1] / "tools"
_HEAD = """# Pod Security and the tools

The API server judges a tool's container with the whole pod, at the level that the namespace enforces. toe's own pods
pass restricted. From the configs in `tools/`, as `kubectl toe lint` judges them:

"""
_TAIL = """
A namespace at `baseline` takes tools of level baseline and restricted, one at `privileged` all. What a namespace
refuses is told when a run is created, as a warning, and on the target: PodSecurityForbids, with the API server's own
words. `kubectl toe explain` says it beforehand.

A tool that joins a target runs as the target's user where its config says so, which is why a restricted one can read
the memory of its own user's processes. With Yama's `ptrace_scope=1` on a node it cannot: `kubectl toe doctor` lists
such nodes, and [clusters of others](../howto/managed-clusters.md#nodes-with-yama) says what to do.
"""


def pages() -> dict[str, str]:
    """Returns the page by its file name."""
    rows = []
    for path in sorted(TOOLS.glob("*/powertoolconfig*.yaml")):
        for raw in yaml.safe_load_all(path.read_text()):
            config = decode(raw)
            assert isinstance(config, PowerToolConfig)
            found, security = judge_config(config, Settings()), config.spec.effective_security
            capabilities = security.capabilities.add if security.capabilities is not None else ()
            rows.append(
                (
                    code(config.spec.name),
                    found.pod_security_level,
                    found.tier,
                    ", ".join(found.reach),
                    cell(runs_with(security)),
                    codes(capabilities or ()),
                )
            )
    head = ("tool", "level", "tier", "reaches", "runs as", "capabilities")
    return {"pod-security.md": _HEAD + table(head, rows) + _TAIL}
