"""Arrows point down: the contracts between rooms hold, and a planted violation breaks exactly the one it should."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLANTED = {
    "a judge that looks upwards": ("policy/verdict.py", "import toe.plan.planner", "Arrows point down"),
    "a door that knows another": ("cli/get.py", "import toe.controller.apply", "Arrows point down"),
    "a room that nobody drew": ("helpers/__init__.py", "", "Arrows point down"),
    "a plan that reads the environment": ("plan/planner.py", "import os", "The judgement rooms do no I/O"),
    "a word that opens files": ("api/pod.py", "import pathlib", "The judgement rooms do no I/O"),
    "a hand that judges": ("kube/queue.py", "import toe.policy.tier", "Hands know no judgement"),
    "a check that asks another": (
        "policy/checks/tool_known.py",
        "import toe.policy.checks.tool_ready",
        "Checks are unaware of each other",
    ),
}


def _broken(source: Path) -> list[str]:
    """Returns the names of the contracts that do not hold for a copy of the sources."""
    lint_imports = Path(sys.executable).with_name("lint-imports")
    environment = {**os.environ, "PYTHONPATH": str(source)}  # noqa: TID251 a program needs one
    done = subprocess.run(
        [lint_imports, "--no-cache", "--config", ROOT / "pyproject.toml"],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Contracts: " in done.stdout, done.stdout + done.stderr
    return [line.removesuffix(" BROKEN") for line in done.stdout.splitlines() if line.endswith(" BROKEN")]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the sources."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "src"


def test_the_contracts_hold(source: Path) -> None:
    """All four of them."""
    assert _broken(source) == []


@pytest.mark.parametrize("violation", list(PLANTED))
def test_a_planted_violation_is_found(source: Path, violation: str) -> None:
    """The contract that is broken is named."""
    file, line, contract = PLANTED[violation]
    path = source / "toe" / file
    path.parent.mkdir(exist_ok=True)
    path.write_text((path.read_text() if path.exists() else "") + f"\n{line}\n")
    assert contract in _broken(source)
