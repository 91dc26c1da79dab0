"""The argument grammar: which of a user's words a tool accepts. The default is none.

Canonical form only: a flag is one whole word, its value the next one. Abbreviations, joined flags (``-c5``,
``--x=y``), ``--``, a leading ``-`` or ``@`` in a value and anything outside printable ASCII are refused, since each is
a way past an administrator's rule in some tool (``tcpdump -z``, ``gdb -ex shell``, ``@file``). Patterns are RE2 and
match whole words, the same engine and meaning as CEL's ``matches('^(?:...)$')`` in the API server.
"""

import re
from collections.abc import Sequence
from typing import Any

import re2

from toe.api.meta import Struct
from toe.api.powertoolconfig import Arguments, Option, OptionValue

MARKER = "--user-args--"
"""Separates the administrator's words from the user's on the supervisor's command line."""

_INTEGER = re.compile("0|[1-9][0-9]{0,17}")


class Complaint(Struct, frozen=True, gc=False):
    """Is one word that is not accepted: its index in the user's list and why."""

    index: int
    message: str


def judge_arguments(
    words: Sequence[str], arguments: Arguments | None, default_args: Sequence[str] = (), tool: str = "the tool"
) -> list[Complaint]:
    """Lists every word that the grammar does not accept; an empty list means all are accepted."""
    if arguments is None or not (arguments.any or arguments.options or arguments.operands):
        return [Complaint(index, f"{tool} accepts no arguments here") for index in range(len(words))]
    found = [Complaint(index, message) for index, word in enumerate(words) if (message := _malformed(word, arguments))]
    if arguments.any or found:
        return found
    return _judge_words(words, arguments, frozenset(default_args), tool)


def describe(arguments: Arguments | None) -> str:
    """Says in one line what is accepted, for errors and ``kubectl toe tools``."""
    if arguments is None or not (arguments.any or arguments.options or arguments.operands):
        return "no arguments"
    if arguments.any:
        return "any arguments"
    parts = [
        f"{option.flag} {_value_in_words(option.value)}" if option.value else option.flag
        for option in arguments.options
    ]
    if arguments.operands:
        parts.append(f"at most {arguments.operands.max} words that match {arguments.operands.pattern}")
    return ", ".join(parts)


def _malformed(word: str, arguments: Arguments) -> str:
    if word == MARKER:
        return f"{MARKER} is the supervisor's own word"
    if arguments.any:
        return "a word cannot hold a NUL character" if "\0" in word else ""
    if not word:
        return "an empty word is not accepted"
    if not (word.isascii() and word.isprintable()):
        return "only printable ASCII is accepted"
    return ""


def _judge_words(words: Sequence[str], arguments: Arguments, fixed: frozenset[str], tool: str) -> list[Complaint]:
    options = {option.flag: option for option in arguments.options}
    found: list[Complaint] = []
    operands = 0
    index = 0
    while index < len(words):
        word = words[index]
        if word.startswith("-"):
            option = options.get(word)
            if message := _flag_message(word, option, fixed, tool, arguments):
                found.append(Complaint(index, message))
            elif option is not None and option.value is not None:
                index += 1
                value = words[index] if index < len(words) else None
                if message := _value_message(option, value):
                    found.append(Complaint(min(index, len(words) - 1), message))
        else:
            operands += 1
            if message := _operand_message(word, operands, arguments, tool):
                found.append(Complaint(index, message))
        index += 1
    return found


def _flag_message(word: str, option: Option | None, fixed: frozenset[str], tool: str, arguments: Arguments) -> str:
    if word in fixed:
        return f'"{word}" is set by the administrator and cannot be given again'
    if option is None:
        return f'{tool} does not accept "{word}" here; it accepts {describe(arguments)}'
    return ""


def _value_message(option: Option, value: str | None) -> str:
    assert option.value is not None
    wanted = f"{option.flag} needs {_value_in_words(option.value)} as the next word"
    if value is None:
        return wanted
    if value.startswith(("-", "@")) or not _fits(value, option.value):
        return f'{wanted}, not "{value}"'
    return ""


def _fits(value: str, rule: OptionValue) -> bool:
    if rule.integer is not None:
        return _INTEGER.fullmatch(value) is not None and rule.integer.min <= int(value) <= rule.integer.max
    if rule.enum is not None:
        return value in rule.enum
    return rule.pattern is not None and _matches(rule.pattern, value)


def compile_pattern(pattern: str) -> Any:
    """Compiles an RE2 pattern; ValueError says what is wrong with it."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        (reason,) = error.args
        raise ValueError(reason.decode(errors="replace") if isinstance(reason, bytes) else reason) from None


def _matches(pattern: str, word: str) -> bool:
    """Tells whether a whole word matches; what is no pattern matches nothing, and makes its config not ready."""
    try:
        return compile_pattern(pattern).fullmatch(word) is not None
    except ValueError:
        return False


def _operand_message(word: str, count: int, arguments: Arguments, tool: str) -> str:
    rule = arguments.operands
    if rule is None:
        return f'"{word}" is no option of {tool}; it accepts {describe(arguments)}'
    if word.startswith("@") or not _matches(rule.pattern, word):
        return f'"{word}" is not accepted: a word must match {rule.pattern} and not begin with - or @'
    if count > rule.max:
        return f'"{word}" is one word too many: at most {rule.max} are accepted'
    return ""


def _value_in_words(value: OptionValue) -> str:
    if value.integer is not None:
        return f"NUMBER ({value.integer.min} to {value.integer.max})"
    if value.enum is not None:
        return "|".join(value.enum)
    return f"VALUE matching {value.pattern}"
