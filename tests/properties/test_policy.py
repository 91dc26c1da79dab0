"""Judgement is monotone: a restriction never allows, an addition never lowers the tier."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.builders import Raw, a_container_status, a_pod, a_powertool, a_request, a_smuggled_config, merged
from tests.properties.words import capability_lists, securities
from toe.api.meta import Struct
from toe.api.powertoolconfig import Arguments, PowerToolConfig, Security
from toe.api.settings import Settings
from toe.policy.arguments import MARKER, compile_pattern, judge_arguments
from toe.policy.capabilities import BY_NAME, TIERS
from toe.policy.chains import RUN, evaluate, evaluate_target
from toe.policy.request import TargetRequest
from toe.policy.tier import pod_security_level, reach_of, tier_of
from toe.policy.verdict import Allowed

OPTIONS = [
    {"flag": "-c", "value": {"integer": {"min": 1, "max": 9}}},
    {"flag": "-n"},
    {"flag": "--proto", "value": {"enum": ["tcp", "udp"]}},
    {"flag": "-f", "value": {"pattern": "[a-z]{1,3}"}},
]
LEVELS = ("restricted", "baseline", "privileged")


class World(Struct, frozen=True):
    """Is everything that a verdict about a run and its pod depends on, as raw differences."""

    spec: dict[str, Any]
    config: dict[str, Any]
    labels: dict[str, str]
    matching: int
    pod: dict[str, Any]
    most: int


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draws a run, a config and a pod that often fit together."""
    args = st.lists(st.sampled_from(["-c", "5", "-n", "--proto", "tcp", "-f", "abc", "host"]), max_size=3)
    config: dict[str, Any] = {
        "allowedNamespaces": draw(st.sampled_from([None, ["production"], ["production", "b"], ["b"]])),
        "limits": {
            "maxDuration": draw(st.sampled_from(["10s", "30s", "1h"])),
            "maxTargets": draw(st.integers(1, 5)),
            "cpuPercent": draw(st.sampled_from([None, 10, 50])),
        },
        "arguments": draw(
            st.sampled_from([None, {"any": True}, {"options": OPTIONS, "operands": {"max": 1, "pattern": "[a-z]+"}}])
        ),
        "security": draw(securities()),
        "suspended": draw(st.sampled_from([False, False, True])),
        "allowedTargets": draw(st.sampled_from([None, {"containers": ["app"]}, {"exceptContainers": ["mesh"]}])),
    }
    pod = {
        "spec": {"hostPID": draw(st.booleans())},
        "status": {"containerStatuses": [a_container_status("app", uid=draw(st.sampled_from([None, 0, 1000])))]},
    }
    return World(
        spec={"tool": {"args": draw(args), "maxCPUPercent": draw(st.sampled_from([None, 10, 60]))}},
        config=config,
        labels={"toe.run/allow-privileged-tools": "true"} if draw(st.booleans()) else {},
        matching=draw(st.integers(0, 6)),
        pod=pod,
        most=draw(st.sampled_from([1, 16])),
    )


def _is_allowed(world: World) -> bool:
    run, config = a_powertool(**world.spec), a_smuggled_config(**world.config)
    platform = Settings(max_containers_per_pod=world.most)
    request = a_request(run, config, namespace_labels=world.labels, matching=world.matching, settings=platform)
    verdict = evaluate(RUN, request)
    target = evaluate_target(TargetRequest(run=run, config=config, pod=a_pod(**world.pod), settings=platform))
    return isinstance(verdict, Allowed) and isinstance(target, Allowed)


RESTRICTIONS: dict[str, Raw] = {
    "another namespace only": {"config": {"allowedNamespaces": ["other"]}},
    "this namespace only": {"config": {"allowedNamespaces": ["production"]}},
    "no namespace": {"config": {"allowedNamespaces": []}},
    "a shorter time": {"config": {"limits": {"maxDuration": "10s"}}},
    "one target": {"config": {"limits": {"maxTargets": 1}}},
    "less CPU": {"config": {"limits": {"cpuPercent": 10}}},
    "no arguments": {"config": {"arguments": None}},
    "suspended": {"config": {"suspended": True}},
    "other containers": {"config": {"allowedTargets": {"containers": ["mesh"]}}},
    "not this container": {"config": {"allowedTargets": {"exceptContainers": ["app", "mesh"]}}},
    "other pods": {"config": {"allowedTargets": {"podSelector": {"matchLabels": {"a": "b"}}}}},
    "no host PID": {"config": {"security": {"allowHostPID": False}}},
    "not root": {"config": {"security": {"runAsRoot": False, "runAsUser": None, "runAsGroup": None}}},
    "no label": {"labels": {"toe.run/allow-privileged-tools": "false"}},
    "more pods": {"matching": 501},
    "less room": {"most": 0},
    "an unknown capability": {"config": {"security": {"capabilities": {"add": ["X"]}}}},
    "a broken grammar": {"config": {"arguments": {"operands": {"max": 1, "pattern": "("}}}},
}


@given(world=worlds(), names=st.lists(st.sampled_from(list(RESTRICTIONS)), min_size=1, max_size=3, unique=True))
def test_a_restriction_never_turns_denied_into_allowed(world: World, names: list[str]) -> None:
    """Whatever is taken away, alone or with others: what is allowed after it was allowed before."""
    raw = {name: getattr(world, name) for name in World.__struct_fields__}
    if world.config["allowedNamespaces"] == ["b"]:
        names = [name for name in names if name != "this namespace only"]  # there it would be another one, not fewer
    for name in names:
        raw = merged(raw, RESTRICTIONS[name])
    if _is_allowed(World(**raw)):
        assert _is_allowed(world)


@given(world=worlds(), name=st.sampled_from(["-c", "-n", "--proto", "-f"]))
def test_a_smaller_grammar_accepts_no_more(world: World, name: str) -> None:
    """An option that is taken away is a word that is refused."""
    whole = {"options": OPTIONS, "operands": {"max": 1, "pattern": "[a-z]+"}}
    fewer = whole | {"options": [option for option in OPTIONS if option["flag"] != name]}
    raw = {field: getattr(world, field) for field in World.__struct_fields__}
    small, large = (World(**merged(raw, {"config": {"arguments": a}})) for a in (fewer, whole))
    if _is_allowed(small):
        assert _is_allowed(large)


def test_the_worlds_are_worth_drawing() -> None:
    """Both verdicts exist, so that the properties above are not empty."""
    good = World(spec={}, config={}, labels={}, matching=1, pod={}, most=16)
    assert _is_allowed(good)
    for name, restriction in RESTRICTIONS.items():
        raw = {field: getattr(good, field) for field in World.__struct_fields__}
        still = {"this namespace only", "a shorter time", "one target", "less CPU", "no arguments", "no host PID"}
        if name not in still | {"not root", "no label", "a shorter time"}:
            assert not _is_allowed(World(**merged(raw, restriction))), name


ADDITIONS: list[Raw] = [
    {"allowPrivileged": True},
    {"allowHostPID": True},
    {"seccompProfile": "Unconfined"},
    {"runAsRoot": True},
]


def _security(raw: Raw) -> Security:
    return msgspec.convert(raw, Security)


@given(
    security=securities(),
    more=capability_lists,
    flags=st.lists(st.sampled_from(ADDITIONS), max_size=2),
    level=st.sampled_from([None, "low", "Medium", "high", "EXTREME", "odd", ""]),
)
def test_the_tier_is_monotone(security: Raw, more: list[str], flags: list[Raw], level: str | None) -> None:
    """Adding a capability, a flag or an annotation never lowers it (I-35); nor does keeping a default."""
    before = tier_of(_security(security))
    stated = security.get("capabilities", {"add": [], "drop": []})
    richer = security | {"capabilities": {"add": [*stated["add"], *more], "drop": stated["drop"][:-1]}}
    for flag in flags:
        richer = richer | flag
    annotations = None if level is None else {"security.toe.run/risk-level": level}
    after = tier_of(_security(richer), annotations)
    assert TIERS.index(after) >= TIERS.index(before)
    assert all(TIERS.index(after) >= TIERS.index(BY_NAME[name].tier) for name in more)


@given(security=securities(), more=capability_lists, flag=st.sampled_from(ADDITIONS[:3]))
def test_reach_and_level_are_monotone(security: Raw, more: list[str], flag: Raw) -> None:
    """What is added only adds to what a tool sees and to what a namespace must permit."""
    stated = security.get("capabilities", {"add": [], "drop": []})
    richer = security | flag | {"capabilities": {"add": [*stated["add"], *more], "drop": stated["drop"]}}
    assert set(reach_of(_security(security))) <= set(reach_of(_security(richer)))
    levels = [LEVELS.index(pod_security_level(_security(raw))) for raw in (security, richer)]
    assert levels[0] <= levels[1]


GRAMMAR = msgspec.convert({"options": OPTIONS, "operands": {"max": 2, "pattern": "[a-z.:/]+"}}, Arguments)
REFERENCE = re.compile(
    r"(?:-c\0[1-9]\0|-n\0|--proto\0(?:tcp|udp)\0|-f\0[a-z]{1,3}\0)*"
    r"(?:[a-z.:/]+\0(?:-c\0[1-9]\0|-n\0|--proto\0(?:tcp|udp)\0|-f\0[a-z]{1,3}\0)*){0,2}"
)
"""The grammar as one regular expression over words that end in NUL: another way of saying the same."""

pieces = st.sampled_from([["-c", "5"], ["-n"], ["--proto", "tcp"], ["-f", "abc"], ["host"], ["a/b"]])
likely = ("-c", "10", "0", "-n", "--proto", "udp", "-f", "abcd", "-c5", "--", "-", "@f", MARKER, "", "-x", "host")


@st.composite
def sentences(draw: st.DrawFn) -> list[str]:
    """Draws words of the grammar, often with one of them changed: cut, longer, another, or in another place."""
    sentence = [word for piece in draw(st.lists(pieces, max_size=4)) for word in piece]
    if not sentence or draw(st.booleans()):
        return sentence
    place = draw(st.integers(0, len(sentence) - 1))
    word = sentence[place]
    changed = st.sampled_from([word[:-1], word + "a", word + "\n", word.upper(), f"{word}=1", f" {word}", f"@{word}"])
    sentence[place] = draw(changed | st.sampled_from(likely) | st.text(max_size=3))
    return sentence[place:] + sentence[:place] if draw(st.booleans()) else sentence


@settings(max_examples=max(300, settings().max_examples))
@given(list_of_words=sentences())
@example(list_of_words=["-c", "5", "host", "-n", "a/b"])
@example(list_of_words=["-f", "abc\n"])
@example(list_of_words=["host\0-n"])
def test_the_grammar_accepts_what_the_reference_accepts_and_nothing_else(list_of_words: list[str]) -> None:
    """No word outside of a config's grammar gets through."""
    accepted = judge_arguments(list_of_words, GRAMMAR) == []
    joined = "".join(f"{word}\0" for word in list_of_words)
    expected = not any("\0" in word for word in list_of_words) and REFERENCE.fullmatch(joined) is not None
    assert accepted is expected


PATTERNS = ["a|bc", "^a", "a$", "a.*", "(?i)abc", "[^x]*", "a|b|c", "(ab)+", ".", "a{2,3}", "", "x|^a$|b"]


@given(pattern=st.sampled_from(PATTERNS), word=st.text(st.sampled_from("abcxABC \n"), max_size=5))
def test_patterns_match_whole_words(pattern: str, word: str) -> None:
    """A part is never enough, alternatives and anchors included."""
    ours = compile_pattern(pattern).fullmatch(word) is not None
    assert ours is (compile_pattern(rf"\A(?:{pattern})\z").search(word) is not None)
    if not word.endswith("\n"):
        assert ours is (re.fullmatch(pattern, word) is not None)


@pytest.mark.parametrize("pattern", [p for p in PATTERNS if p != "[^x]*"])
def test_no_pattern_accepts_a_line_more(pattern: str) -> None:
    """``$`` is the end of the word, not the end of a line."""
    for word in ("a\n", "abc\n", "b\n"):
        assert compile_pattern(pattern).fullmatch(word) is None


def test_a_smuggled_config_is_what_the_worlds_are_made_of() -> None:
    """Also an empty list of namespaces, which the schema refuses, is judged."""
    assert isinstance(a_smuggled_config(allowedNamespaces=[]), PowerToolConfig)
