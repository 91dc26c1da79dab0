"""PowerTool: what a user asks for, and its rules."""

from typing import Any

import msgspec
import pytest

from tests.builders import a_powertool, powertool_manifest
from toe.api.codec import problems_of
from toe.api.powertool import SECURITY_FIELDS, PowerToolSpec, PowerToolStatus, Targets


def _paths(**spec: Any) -> list[str]:
    return [str(problem) for problem in problems_of(powertool_manifest(**spec))]


def test_a_user_says_what_where_and_how_long_and_no_more() -> None:
    """Everything beyond targets, tool, output and cancel is a field that is refused."""
    own = {"targets", "tool", "output", "cancel", "requester"}
    refused = {rule.path[1:] for rule in PowerToolSpec.RULES if rule.reason == "FieldValueForbidden"}
    assert set(PowerToolSpec.__struct_encode_fields__) - own == refused
    assert set(SECURITY_FIELDS) < refused


@pytest.mark.parametrize("field", SECURITY_FIELDS)
def test_security_is_refused_with_the_name_of_its_owner(field: str) -> None:
    """The message sends the user to PowerToolConfig."""
    value: Any = {"command": ["x"], "env": [{}], "volumes": [{}]}.get(field, {"x": 1})
    if field in ("privileged", "hostPID"):
        value = False
    if field in ("image", "serviceAccountName", "podSpecPatch"):
        value = ""
    assert _paths(**{field: value}) == [
        f"spec.{field}: {field} is the administrator's: it is set in PowerToolConfig only"
    ]


def test_a_selector_that_requires_nothing_is_refused() -> None:
    """The schema's rule and the check of the same name agree."""
    (problem,) = _paths(targets={"labelSelector": {"matchLabels": None}})
    assert problem.startswith("spec.targets.labelSelector: must require something")


def test_expressions_need_the_values_of_their_operator() -> None:
    """In and NotIn need values; the others take none."""
    wrong = [{"key": "a", "operator": "In"}, {"key": "b", "operator": "Exists", "values": ["x"]}]
    for expression in wrong:
        (problem,) = _paths(targets={"labelSelector": {"matchExpressions": [expression]}})
        assert problem.startswith("spec.targets.labelSelector.matchExpressions: In and NotIn need values")


@pytest.mark.parametrize("selector", [None, [], "app=web"])
def test_rules_pass_over_what_is_no_selector(selector: Any) -> None:
    """What does not fit the schema is the schema's business, and no rule raises."""
    results = [rule.holds({"labelSelector": selector}) for rule in Targets.RULES]
    assert results == [True, False, True]


@pytest.mark.parametrize("field", ["duration", "warmup"])
@pytest.mark.parametrize("text", ["0s", "999ms", "8785h", "9999999999h"])
def test_durations_are_from_a_second_to_a_year(field: str, text: str) -> None:
    """A run that ends at once or never is refused."""
    (problem,) = _paths(tool={field: text})
    assert problem.startswith(f"spec.tool.{field}: ")
    assert problem.endswith("must be at least 1s, and at most 8784h (366 days)")


def test_a_run_is_finished_when_its_condition_says_so() -> None:
    """The phase is for people; the condition decides."""
    finished = {"type": "Finished", "status": "True", "reason": "Completed"}
    assert not PowerToolStatus().is_finished
    assert not a_powertool(status={"phase": "Completed"}).status.is_finished
    assert not a_powertool(status={"conditions": [finished | {"status": "False"}]}).status.is_finished
    assert a_powertool(status={"conditions": [finished]}).status.is_finished


def test_a_run_is_frozen_when_its_targets_are_written() -> None:
    """The list of targets is the record of the intent."""
    target = {"pod": "web-1", "podUID": "u", "container": "app"}
    assert not a_powertool().status.is_frozen
    assert a_powertool(status={"targets": [target]}).status.is_frozen


def test_a_run_is_immutable_in_memory_too() -> None:
    """A frozen struct cannot be changed by mistake."""
    with pytest.raises(AttributeError):
        a_powertool().spec.cancel = True  # type: ignore[misc]
    assert msgspec.structs.replace(a_powertool().spec, cancel=True).cancel
