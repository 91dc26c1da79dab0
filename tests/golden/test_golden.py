"""Behaviour as files: what is on disk is what the planner and the judgement do."""

import pytest

from tests.golden.cases import HERE, names, plan_as_text
from tests.golden.readiness import FILE, readiness_as_text


@pytest.mark.parametrize("name", names())
def test_the_plan_is_the_golden_one(name: str) -> None:
    """The planner makes exactly this plan of this snapshot; ``make golden`` writes it again."""
    assert plan_as_text(name) == (HERE / name / "plan.yaml").read_text()


def test_there_are_cases_of_every_stage() -> None:
    """A case is named after its stage: begin, progress, cancel, finished."""
    stages = {name.split("-")[0] for name in names()}
    assert stages == {"begin", "progress", "cancel", "finished"}


def test_no_plan_is_without_its_snapshot() -> None:
    """Every folder holds both files."""
    assert sorted(path.parent.name for path in HERE.glob("*/plan.yaml")) == names()


def test_what_the_schema_accepts_and_judgement_does_not() -> None:
    """Every config of the table that is accepted but not Ready is listed with its messages."""
    assert readiness_as_text() == FILE.read_text()
