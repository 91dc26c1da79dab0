"""The argument grammar: which of a user's words a tool accepts."""

from typing import Any

import msgspec
import pytest

from toe.api.powertoolconfig import Arguments
from toe.policy.arguments import MARKER, compile_pattern, describe, judge_arguments

GRAMMAR = msgspec.convert(
    {
        "options": [
            {"flag": "-c", "value": {"integer": {"min": -5, "max": 100}}},
            {"flag": "--proto", "value": {"enum": ["tcp", "udp"]}},
            {"flag": "-f", "value": {"pattern": "[a-z]+"}},
            {"flag": "-n"},
            {"flag": "-i", "value": {"pattern": "[a-z0-9]+"}},
        ],
        "operands": {"max": 2, "pattern": "[A-Za-z0-9.:/]+"},
    },
    Arguments,
)
ANY = Arguments(any=True)


def _complaints(
    *words: str, arguments: Arguments | None = GRAMMAR, fixed: tuple[str, ...] = ("-i", "eth0")
) -> list[Any]:
    return [(c.index, c.message) for c in judge_arguments(words, arguments, fixed, "tcpdump")]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["-c", "0"],
        ["-c", "100"],
        ["--proto", "udp", "-n", "-n"],
        ["-f", "abc", "host", "10.0.0.1/8"],
        ["host", "-c", "1", "port"],
    ],
)
def test_words_of_the_grammar_are_accepted(words: list[str]) -> None:
    """Flags with their values, flags alone, and words that are no flags, in any order."""
    assert _complaints(*words) == []


@pytest.mark.parametrize(
    "words",
    [
        ["-c5"],
        ["-c=5"],
        ["--proto=tcp"],
        ["--prot", "tcp"],
        ["-nc", "5"],
        ["--"],
        ["-"],
        ["-C", "5"],
        ["-c", "101"],
        ["-c", "-6"],
        ["-c", "-1"],
        ["-c", "05"],
        ["-c", "+5"],
        ["-c", "5 "],
        ["-c", "٣"],
        ["-c", "1e1"],
        ["-c", "9" * 30],
        ["-c"],
        ["-n", "-c"],
        ["--proto", "TCP"],
        ["--proto", "tcp,udp"],
        ["-f", "abc1"],
        ["-f", "@file"],
        ["-f", "-n"],
        ["-f", ""],
        ["@file"],
        ["a", "b", "c"],
        ["a b"],
        ["a\nb"],
        ["a\0"],
        ["\x1b[31m"],
        ["é"],
        ["а"],
        [""],
        ["$(TOE_RUN)"],
        [MARKER],
        ["-i", "lo"],
        ["-i"],
    ],
)
def test_every_other_word_is_refused(words: list[str]) -> None:
    """Joined, abbreviated, disguised, out of bounds or the administrator's own: each is a way past a rule somewhere."""
    assert _complaints(*words)


def test_all_bad_words_are_told_by_their_index() -> None:
    """A person mends them all at once."""
    assert _complaints("-c", "500", "-x", "ok", "--proto", "sctp", "-i", "lo") == [
        (1, '-c needs NUMBER (-5 to 100) as the next word, not "500"'),
        (
            2,
            (
                'tcpdump does not accept "-x" here; it accepts -c NUMBER (-5 to 100), --proto tcp|udp, '
                "-f VALUE matching [a-z]+, -n, -i VALUE matching [a-z0-9]+, at most 2 words that match [A-Za-z0-9.:/]+"
            ),
        ),
        (5, '--proto needs tcp|udp as the next word, not "sctp"'),
        (6, '"-i" is set by the administrator and cannot be given again'),
    ]


def test_malformed_words_are_told_before_anything_else() -> None:
    """A word that is none is not shown, and not judged."""
    assert _complaints("-c", "\x1b[2J", "", MARKER) == [
        (1, "only printable ASCII is accepted"),
        (2, "an empty word is not accepted"),
        (3, f"{MARKER} is the supervisor's own word"),
    ]


def test_a_missing_value_and_a_word_too_many_are_told() -> None:
    """The index is that of a word that is there."""
    assert _complaints("-n", "-c") == [(1, "-c needs NUMBER (-5 to 100) as the next word")]
    assert _complaints("a", "b", "c") == [(2, '"c" is one word too many: at most 2 are accepted')]


def test_words_need_operands() -> None:
    """Without operands a word that is no flag is accepted nowhere."""
    only = msgspec.structs.replace(GRAMMAR, operands=None, options=GRAMMAR.options[3:4])
    assert _complaints("host", arguments=only) == [(0, '"host" is no option of tcpdump; it accepts -n')]


@pytest.mark.parametrize("arguments", [None, Arguments()])
def test_nothing_is_accepted_by_default(arguments: Arguments | None) -> None:
    """An absent and an empty grammar are the same: no word."""
    assert _complaints("-n", "x", arguments=arguments) == [
        (0, "tcpdump accepts no arguments here"),
        (1, "tcpdump accepts no arguments here"),
    ]
    assert _complaints(arguments=arguments) == []


def test_any_accepts_everything_but_what_cannot_be_passed() -> None:
    """The explicit opt-out still keeps the supervisor's word, and NUL."""
    assert _complaints("-rf", "", "\n", "é", "--", arguments=ANY) == []
    assert [index for index, _ in _complaints("a\0b", "x", MARKER, arguments=ANY)] == [0, 2]


def test_patterns_match_whole_words_in_linear_time() -> None:
    """RE2: no part of a word is enough, and no pattern takes long."""
    evil = msgspec.convert({"operands": {"max": 1, "pattern": "(a*)*b|x"}}, Arguments)
    assert _complaints("a" * 1000, arguments=evil)
    assert _complaints("xx", arguments=evil)
    assert _complaints("x\n", arguments=evil)
    assert _complaints("x", arguments=evil) == []


def test_what_is_no_pattern_matches_nothing() -> None:
    """A grammar that came past the judgement of its config accepts no word, and raises nothing."""
    broken = msgspec.convert(
        {"options": [{"flag": "-f", "value": {"pattern": "("}}], "operands": {"max": 1, "pattern": "(?=a)"}}, Arguments
    )
    assert [index for index, _ in _complaints("-f", "(", "a", arguments=broken)] == [1, 2]


def test_a_value_without_a_rule_accepts_nothing() -> None:
    """An option value that came past the schema has no accepted word."""
    nothing = msgspec.convert({"options": [{"flag": "-f", "value": {}}]}, Arguments)
    assert [index for index, _ in _complaints("-f", "None", arguments=nothing)] == [1]


def test_a_bad_pattern_is_explained(capfd: pytest.CaptureFixture[str]) -> None:
    """The message says what is wrong; nothing is written to stderr behind our back."""
    with pytest.raises(ValueError, match="missing"):
        compile_pattern("(")
    with pytest.raises(ValueError, match=r"^invalid perl operator: \(\?=$"):
        compile_pattern("(?=a)")
    assert capfd.readouterr().err == ""


def test_a_grammar_is_described_in_a_line() -> None:
    """For errors and for ``kubectl toe tools``."""
    assert describe(None) == describe(Arguments()) == "no arguments"
    assert describe(ANY) == "any arguments"
    assert describe(msgspec.structs.replace(GRAMMAR, options=())) == "at most 2 words that match [A-Za-z0-9.:/]+"
