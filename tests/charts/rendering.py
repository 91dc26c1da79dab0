"""The chart as Helm renders it, as plain objects."""

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from devcluster.__main__ import cluster_here

Object = dict[str, Any]

CHART = Path(__file__).parents[2] / "charts" / "toe"
NAMESPACE = "toe-system"


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Helm; whoever calls looks at its exit status."""
    command = [str(_program()), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@cache
def _program() -> Path:
    return cluster_here().helm_program()


def template(values: Object, *arguments: str, kubernetes: str = "1.36.3") -> subprocess.CompletedProcess[str]:
    """Renders the chart with values; ``values`` is what ``--set-json`` takes, by path."""
    given = [f"--set-json={path}={json.dumps(value)}" for path, value in values.items()]
    words = ("template", "toe", str(CHART), "--namespace", NAMESPACE, "--kube-version", kubernetes)
    return helm(*words, *given, *arguments)


def rendered(values: Object | None = None, *arguments: str, kubernetes: str = "1.36.3") -> list[Object]:
    """Returns the objects; fails with what Helm said where it refuses."""
    done = template(values or {}, *arguments, kubernetes=kubernetes)
    assert done.returncode == 0, done.stderr
    return [obj for obj in yaml.load_all(done.stdout, yaml.CSafeLoader) if obj]


def refusal(values: Object, *arguments: str, kubernetes: str = "1.36.3") -> str:
    """Returns what Helm says when it refuses."""
    done = template(values, *arguments, kubernetes=kubernetes)
    assert done.returncode != 0, "accepted"
    return done.stderr


def named(objects: list[Object], kind: str, name: str) -> Object:
    """Returns the one object of a kind and name."""
    (found,) = (obj for obj in objects if (obj["kind"], obj["metadata"]["name"]) == (kind, name))
    return found


def pods(objects: list[Object]) -> dict[str, Object]:
    """Returns the pod spec of each part by its name."""
    return {
        obj["metadata"]["name"]: obj["spec"]["template"]["spec"]
        for obj in objects
        if obj["kind"] in ("Deployment", "StatefulSet")
    }
