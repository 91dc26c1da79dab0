"""Conditions of a run: Kubernetes' own type."""

from tests.builders import at, when
from toe.api.meta import Condition
from toe.plan.conditions import is_true, with_condition


def _set(conditions: tuple[Condition, ...], kind: str, *, true: bool, seconds: float) -> tuple[Condition, ...]:
    return with_condition(
        conditions,
        kind,  # type: ignore[arg-type]
        true=true,
        reason="Because",
        message=f"at {seconds}",
        now=at(seconds),
        generation=2,
    )


def test_a_condition_is_set_with_its_generation_and_time() -> None:
    """All fields of metav1.Condition are filled."""
    (condition,) = _set((), "Accepted", true=True, seconds=5)
    assert condition == Condition(
        type="Accepted",
        status="True",
        reason="Because",
        message="at 5",
        last_transition_time=when(5),
        observed_generation=2,
    )


def test_the_transition_time_moves_only_with_the_status() -> None:
    """A new message is no transition."""
    first = _set((), "Accepted", true=False, seconds=1)
    second = _set(first, "Accepted", true=False, seconds=2)
    third = _set(second, "Accepted", true=True, seconds=3)
    assert [c[0].last_transition_time for c in (first, second, third)] == [when(1), when(1), when(3)]
    assert second[0].message == "at 2"


def test_a_message_is_cut_to_what_a_condition_takes() -> None:
    """However much is wrong, the API server accepts the condition."""
    (condition,) = with_condition((), "Ready", true=False, reason="x", message="m" * 40_000, now=at(0), generation=1)
    assert len(condition.message) == 32768


def test_conditions_are_kept_in_one_order() -> None:
    """Whatever is set first: a repeated status is the same status."""
    one = _set(_set((), "Finished", true=True, seconds=1), "Accepted", true=True, seconds=1)
    two = _set(_set((), "Accepted", true=True, seconds=1), "Finished", true=True, seconds=1)
    assert one == two
    assert [condition.type for condition in one] == ["Accepted", "Finished"]


def test_a_condition_is_true_when_it_is_there_and_true() -> None:
    """Absent is not true."""
    conditions = _set((), "Failed", true=False, seconds=1)
    assert not is_true(conditions, "Failed")
    assert not is_true(conditions, "Finished")
    assert is_true(_set(conditions, "Failed", true=True, seconds=1), "Failed")
