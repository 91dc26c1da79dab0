"""Writes what is golden again: ``python -m tests.golden``. Read the diff before you commit it."""

from tests.golden.cases import HERE, names, plan_as_text
from tests.golden.readiness import FILE, readiness_as_text

for name in names():
    (HERE / name / "plan.yaml").write_text(plan_as_text(name))
FILE.write_text(readiness_as_text())
print(f"{len(names())} plans and {FILE.name} written")
