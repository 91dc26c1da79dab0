"""The steps a door executes one by one."""

from datetime import UTC, datetime

import msgspec
import pytest

from toe.plan.actions import Plan


def test_a_plan_is_a_value_and_empty_by_default() -> None:
    """Nothing to do is nothing, and nobody changes a plan that was made."""
    assert Plan() == Plan(actions=(), look_again=None)
    with pytest.raises(AttributeError):
        Plan().look_again = datetime.now(UTC)  # type: ignore[misc]  # noqa: TID251 any time will do
    assert msgspec.to_builtins(Plan()) == {}
