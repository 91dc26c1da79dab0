"""How the words carry their own rules."""

import pytest

from toe.api.schema import (
    FORBIDDEN,
    GO_DURATION,
    IN_WORDS,
    Rule,
    absent,
    at_least_a_second,
    immutable,
    is_dns_label,
    items,
    number,
    text,
)


def test_an_absent_field_is_null_or_not_there() -> None:
    """The rule holds for a null too: the API server stores none."""
    rule = absent("image", "no")
    assert (rule.cel, rule.path, rule.reason) == ("!has(self.image)", ".image", FORBIDDEN)
    assert rule.holds({})
    assert rule.holds({"image": None})
    assert not rule.holds({"image": ""})


def test_immutability_speaks_of_old_and_new_and_holds_for_new_objects() -> None:
    """An optional field may neither come nor go."""
    assert immutable("tool", required=True).cel == "self.tool == oldSelf.tool"
    optional = immutable("output")
    assert optional.cel.startswith("has(self.output) == has(oldSelf.output) && ")
    assert optional.holds({"output": {}})
    assert Rule(cel="true", message="x").holds({})


@pytest.mark.parametrize("duration", ["1s", "8784h", "no duration", "", None, 5])
def test_a_real_duration_holds_and_what_is_none_is_the_patterns_business(duration: object) -> None:
    """One problem has one message."""
    assert at_least_a_second("duration").holds({"duration": duration})


@pytest.mark.parametrize("duration", ["0s", "999ms", "999.999999999ms", "8785h", "99999999999h"])
def test_a_duration_outside_of_a_second_and_a_year_does_not_hold(duration: str) -> None:
    """Neither at once nor never."""
    assert not at_least_a_second("duration").holds({"duration": duration})


def test_a_required_duration_needs_no_question_whether_it_is_there() -> None:
    """CEL has no need to ask for a required field."""
    assert at_least_a_second("duration", optional=False).cel.startswith("!self.duration.matches(")
    assert at_least_a_second("duration").cel.startswith("!has(self.duration) || ")


def test_bounds_are_written_as_the_schema_words() -> None:
    """Least values of zero are left out."""
    assert text("d", most=3).extra_json_schema == {"description": "d", "maxLength": 3}
    assert text("d", most=3, least=1, pattern=GO_DURATION).extra_json_schema == {
        "description": "d",
        "maxLength": 3,
        "minLength": 1,
        "pattern": GO_DURATION,
    }
    assert items("d", most=2, least=1, kind="map", keys=("a",)).extra_json_schema == {
        "description": "d",
        "maxItems": 2,
        "minItems": 1,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["a"],
    }
    assert number("d", least=1, most=2).extra_json_schema == {"description": "d", "minimum": 1, "maximum": 2}


def test_every_pattern_is_anchored_and_has_words() -> None:
    """People are told what is accepted, not a regular expression."""
    for pattern, words in IN_WORDS.items():
        assert pattern.startswith("^")
        assert pattern.endswith("$")
        assert words


@pytest.mark.parametrize("name", ["a", "a-b", "0", "a" * 63])
def test_dns_labels(name: str) -> None:
    """Lower case letters, digits, '-' inside, at most 63."""
    assert is_dns_label(name)


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a.b", "a" * 64, "a\n", "é", 5, None])
def test_no_dns_labels(name: object) -> None:
    """Nothing else."""
    assert not is_dns_label(name)
