"""What the schema accepts and judgement does not: every config of the table of manifests that is not Ready, and why."""

from pathlib import Path

import yaml

from tests.builders import SETTINGS
from tests.cluster.manifests import manifests
from toe.api.codec import decode, problems_of
from toe.api.powertoolconfig import PowerToolConfig
from toe.policy.readiness import judge_config

FILE = Path(__file__).parent / "readiness.yaml"


def readiness_as_text() -> str:
    """Returns the name and the violations of each such config."""
    found = {}
    for name, manifest in manifests():
        if problems_of(manifest):
            continue
        config = decode(manifest)
        if isinstance(config, PowerToolConfig) and (violations := judge_config(config, SETTINGS).violations):
            found[name] = [f"{violation.reason}: {violation}" for violation in violations]
    return str(yaml.safe_dump(found, sort_keys=True, allow_unicode=False, width=200))
