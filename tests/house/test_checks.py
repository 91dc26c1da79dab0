"""Every rule is shown with an example of each side."""

import re
from pathlib import Path

import pytest

from toe.policy.chains import RUN, TARGET, UPLOAD

TESTS = Path(__file__).parents[1] / "policy" / "checks"
MODULES = {check.__module__.rpartition(".")[2]: check for check in (*RUN, *TARGET, *UPLOAD)}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_check_is_allowed_and_denied_by_example(name: str) -> None:
    """At least one example that it accepts, and one that it denies or that keeps a run waiting."""
    text = (TESTS / f"test_{name}.py").read_text()
    assert re.search(r"^def test_allows_", text, re.MULTILINE)
    assert re.search(r"^def test_(denies|waits)_", text, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_check_opens_with_its_rule_and_why(name: str) -> None:
    """In an administrator's words."""
    module = __import__(MODULES[name].__module__, fromlist=["check"])
    rule, why, *_ = module.__doc__.strip().split("\n\n")
    assert rule.endswith(".")
    assert "\n" not in rule
    assert why.startswith("Why: ")
    assert MODULES[name].__doc__
