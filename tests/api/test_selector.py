"""A label selector as text means what it means to kubectl; tests/cli/test_selector.py has all the forms."""

import pytest

from toe.api.meta import LabelSelector
from toe.api.selector import parse_selector
from toe.errors import DecodeError


def test_the_part_that_is_none_is_named() -> None:
    """So that a person finds it in a long one."""
    with pytest.raises(DecodeError, match='"b c" is no selector'):
        parse_selector("a=1,b c")


def test_names_of_objects_are_longer_than_labels_may_be() -> None:
    """Up to 253 characters where they stand for labels, and 63 else."""
    long = "x" * 253
    assert parse_selector(f"a={long}", names=True) == LabelSelector({"a": long})
    for text, names in ((f"a={long}", False), (f"a={long}y", True)):
        with pytest.raises(DecodeError):
            parse_selector(text, names=names)
