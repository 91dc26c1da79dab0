"""Every argument fits the tool's grammar."""

from tests.builders import a_config, a_powertool, a_request
from toe.api.reasons import Reason
from toe.policy.checks.arguments_allowed import check
from toe.policy.request import Request

COUNT = {"options": [{"flag": "-c", "value": {"integer": {"min": 1, "max": 9}}}]}


def test_allows_words_of_the_grammar() -> None:
    """Words that the config's arguments accept are accepted."""
    run = a_powertool(tool={"args": ["-c", "5"]})
    assert check(a_request(run, a_config(arguments=COUNT))) == ()


def test_allows_a_run_without_arguments() -> None:
    """No arguments need no permission."""
    assert check(a_request(a_powertool(), a_config())) == ()


def test_denies_words_outside_of_the_grammar_each_by_its_index() -> None:
    """Every bad word is told at once, with its field."""
    run = a_powertool(tool={"args": ["-c", "10", "-x"]})
    found = check(a_request(run, a_config(arguments=COUNT)))
    assert [(v.reason, v.field) for v in found] == [
        (Reason.ARGUMENT_NOT_ALLOWED, "spec.tool.args[1]"),
        (Reason.ARGUMENT_NOT_ALLOWED, "spec.tool.args[2]"),
    ]
    assert found[0].message == '-c needs NUMBER (1 to 9) as the next word, not "10"'


def test_denies_any_argument_by_default() -> None:
    """A config without arguments accepts none."""
    (violation,) = check(a_request(a_powertool(tool={"args": ["-n"]}), a_config()))
    assert str(violation) == "spec.tool.args[0]: aperf accepts no arguments here"


def test_leaves_the_judgement_to_others_while_there_is_no_config_or_none_that_means_something() -> None:
    """A grammar that is missing or broken judges nobody: the run waits until the administrator mends it."""
    run = a_powertool(tool={"args": ["-c", "x"]})
    broken = a_config(arguments={"operands": {"max": 1, "pattern": "("}})
    assert check(Request(run=run)) == ()
    assert check(a_request(run, broken)) == ()
