"""A user sets no field that is not a user's."""

from typing import Any

import pytest

from tests.builders import a_powertool, a_request, a_smuggled_powertool
from toe.api.powertool import SECURITY_FIELDS
from toe.api.reasons import Reason
from toe.policy.checks.fields_permitted import check

LATER = ("budgets", "failurePolicy", "ttlSecondsAfterFinished", "schedule")


def test_allows_a_run_of_user_fields() -> None:
    """A run that says what, where and how long is accepted."""
    assert check(a_request(a_powertool(tool={"args": ["-n"], "warmup": "1s", "maxCPUPercent": 1}, cancel=True))) == ()


@pytest.mark.parametrize("field", SECURITY_FIELDS)
def test_denies_every_security_field(field: str) -> None:
    """Security belongs to the PowerToolConfig, whatever the user's value is."""
    for value in ({}, "x", [], False, 0):
        (violation,) = check(a_request(a_smuggled_powertool(**{field: value})))
        assert violation.reason is Reason.FIELD_FORBIDDEN
        assert str(violation) == f"spec.{field}: {field} is the administrator's: it is set in PowerToolConfig only"


@pytest.mark.parametrize(
    ("path", "spec"),
    [
        *((f"spec.{field}", {field: {"a": 1}}) for field in LATER),
        ("spec.targets.namespaceSelector", {"targets": {"namespaceSelector": {"matchNames": ["other"]}}}),
        ("spec.tool.resolutionPreset", {"tool": {"resolutionPreset": "high"}}),
    ],
)
def test_denies_every_field_that_means_nothing_here(path: str, spec: dict[str, Any]) -> None:
    """A field that no code would read is refused by name, not ignored."""
    (violation,) = check(a_request(a_smuggled_powertool(**spec)))
    assert violation.field == path


def test_denies_all_of_them_at_once() -> None:
    """Every forbidden field is told in one answer."""
    run = a_smuggled_powertool(image="x", privileged=True, tool={"resolutionPreset": "x"})
    assert [v.field for v in check(a_request(run))] == ["spec.image", "spec.privileged", "spec.tool.resolutionPreset"]
