"""What the controller renders is what the fence accepts, for every config and every run that the judges allow.

The judge of the fence here is :mod:`tests.fence_model`; tests/cluster/test_fence.py holds it against a real API server.
"""

from typing import Any

import msgspec
import pytest
import re2
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tests.api.fence.offline import complaints
from tests.builders import SETTINGS, Raw, a_config, a_pod, a_powertool, a_request, at, judged
from tests.fence_model import as_stored, broken
from tests.properties.words import configs, securities
from toe.api.codec import decode, problems_of
from toe.api.pod import Pod
from toe.api.powertoolcatalog import CatalogTool, PowerToolCatalogSpec
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.settings import PROFILES, Settings
from toe.plan.catalog import OPERATOR_VARIABLES, compile_catalog, default_pull_policy
from toe.plan.container import TICKET, render
from toe.policy.chains import RUN, evaluate, evaluate_target
from toe.policy.request import TargetRequest
from toe.policy.verdict import Allowed

PATTERNS = ["a+", r"\Qa.b", r"\Qa.b\E|c", "(?i)abc", "a|b", "[-a-z@$]+", ".*", "", "^a$", "[^a]", "(a)(b)?", r"\$\$?"]
POOL = [
    "a",
    "b",
    "ab",
    "a.b",
    "aBc",
    "-a",
    "@a",
    "$",
    "$$",
    "a$",
    "7",
    "12",
    "120",
    "-7",
    "é",
    "",
    "tcp",
    "--user-args--",
]


@st.composite
def grammars(draw: st.DrawFn) -> Raw:
    """Draws an argument grammar that the schema accepts."""
    value = st.one_of(
        st.none(),
        st.builds(
            lambda a, b: {"integer": {"min": min(a, b), "max": max(a, b)}}, st.integers(-20, 200), st.integers(-20, 200)
        ),
        st.builds(
            lambda e: {"enum": e}, st.lists(st.sampled_from([*POOL[:9], "a b"]), min_size=1, max_size=3, unique=True)
        ),
        st.builds(lambda p: {"pattern": p}, st.sampled_from([p for p in PATTERNS if p])),
    )
    flags = draw(st.lists(st.sampled_from(["-a", "-c", "--proto", "-$"]), max_size=3, unique=True))
    options = [{"flag": flag} | ({"value": found} if (found := draw(value)) else {}) for flag in flags]
    grammar: Raw = {"options": options}
    if draw(st.booleans()):
        grammar["operands"] = {"max": 4, "pattern": draw(st.sampled_from([p for p in PATTERNS if p]))}
    return grammar


targets: st.SearchStrategy[Raw | None] = st.sampled_from(
    [
        None,
        {"containers": ["app"]},
        {"exceptContainers": ["app"]},
        {"exceptContainers": ["vault"]},
        {"podSelector": {"matchLabels": {"app": "web"}}},
        {"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]}},
        {"podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}},
        {"podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}},
        {"podSelector": {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}},
    ]
)
pods: st.SearchStrategy[Raw] = st.fixed_dictionaries(
    {
        "hostPID": st.booleans(),
        "uid": st.sampled_from([None, 0, 1000]),
        "whole": st.sampled_from([{}, {"runAsUser": 5, "runAsGroup": 6}]),
        "own": st.sampled_from([{}, {"runAsUser": 7}, {"runAsUser": 0, "runAsGroup": 0}]),
    }
)


def _pod(facts: Raw) -> Pod:
    told: Raw = {"name": "app", "containerID": "containerd://1", "state": {"running": {}}}
    if facts["uid"] is not None:
        told["user"] = {"linux": {"uid": facts["uid"], "gid": 1001}}
    container = {"name": "app", "image": "x", "securityContext": facts["own"]}
    spec = {"hostPID": facts["hostPID"], "securityContext": facts["whole"], "containers": [container]}
    return a_pod(spec=spec, status={"containerStatuses": [told]})


def _is_accepted(
    config: PowerToolConfig,
    pod: Pod,
    args: tuple[str, ...] = (),
    namespace: str = "production",
    profile: Settings = SETTINGS,
) -> bool:
    """Renders what the judges allow and asks the model; what they do not allow is not drawn."""
    labels = {"toe.run/allow-privileged-tools": "true"}
    run = a_powertool({"namespace": namespace}, tool={"name": config.spec.name, "args": list(args)})
    assume(isinstance(evaluate(RUN, a_request(run, config, namespace_labels=labels, matching=1)), Allowed))
    assume(isinstance(evaluate_target(TargetRequest(run=run, config=config, pod=pod, settings=profile)), Allowed))
    catalog = {tool.name: tool for tool in compile_catalog(judged(config), profile).tools}
    container = as_stored(render(run, config, pod, "app", at(640), profile))
    found = broken(catalog, container, msgspec.to_builtins(pod), namespace, labels)
    assert found == [], found
    return True


@settings(max_examples=150)
@given(
    raw=configs(),
    facts=pods,
    allowed=targets,
    words=st.lists(st.sampled_from(POOL), max_size=3),
    profile=st.sampled_from([SETTINGS, PROFILES["compat"]]),
)
def test_what_is_rendered_is_accepted(
    raw: Raw, facts: Raw, allowed: Raw | None, words: list[str], profile: Settings
) -> None:
    """Any config, any target, any profile: the fence refuses nothing that the judges allow."""
    if allowed:
        raw["spec"]["allowedTargets"] = allowed
    config = decode(raw)
    assert isinstance(config, PowerToolConfig)
    assert _is_accepted(config, _pod(facts), tuple(words), profile=profile)


@settings(max_examples=200)
@given(
    grammar=grammars(),
    fixed=st.lists(st.sampled_from(["-a", "-z", "$x"]), max_size=2),
    words=st.lists(st.sampled_from([*POOL, "-c", "--proto", "-$"]), max_size=4),
)
@example(grammar={"operands": {"max": 4, "pattern": r"\Qa.b"}}, fixed=[], words=["a.b"])
@example(
    grammar={"options": [{"flag": "-c", "value": {"integer": {"min": 5, "max": 120}}}]}, fixed=[], words=["-c", "12"]
)
def test_words_that_the_grammar_accepts_are_accepted(grammar: Raw, fixed: list[str], words: list[str]) -> None:
    """The catalog's rule about single words is never narrower than the grammar."""
    raw: dict[str, Any] = {"arguments": grammar, "defaultArgs": fixed}
    config = a_config(**raw)
    assert _is_accepted(config, a_pod(), tuple(words))


@given(grammar=grammars(), fixed=st.lists(st.sampled_from(["-a", "-z"]), max_size=2))
def test_a_flag_that_is_not_listed_is_refused(grammar: Raw, fixed: list[str]) -> None:
    """A word with a dash is a flag, whatever an operand pattern accepts; administrators' own are not given again."""
    (tool,) = _compiled(a_config(arguments=grammar, defaultArgs=fixed))
    given_flags = {option["flag"] for option in grammar["options"]} - set(fixed)
    pod = a_pod()
    for word in ("-a", "-z", "-c", "--proto", "-", "@a"):
        container = as_stored(render(a_powertool(), a_config(), pod, "app", at(640), SETTINGS)) | {"args": [word]}
        container |= {"command": list(tool.command)}
        found = broken({"aperf": tool}, container, msgspec.to_builtins(pod), "production", {})
        assert ("args" not in found) == (word in given_flags), (word, found)


@given(security=securities())
def test_identity_says_whose_ids_the_container_has(security: Raw) -> None:
    """Each config has one of four identities, and ids exactly where it states them."""
    tools = _compiled(a_config(security=security))
    assume(tools)
    (tool,) = tools
    states = "runAsUser" in security
    assert (tool.identity == "Fixed") == states == (tool.user is not None) == (tool.group is not None)
    if "runAsRoot" in security:
        assert tool.identity == ("Root" if security["runAsRoot"] else "NonRoot")


@given(least=st.integers(-20, 2000), width=st.integers(0, 2000), number=st.integers(-20, 5000))
def test_numbers_are_bounded_by_their_digits(least: int, width: int, number: int) -> None:
    """Every number within the bounds is accepted, none with more digits than the largest, none below zero."""
    most = least + width
    option = {"flag": "-c", "value": {"integer": {"min": least, "max": most}}}
    (tool,) = _compiled(a_config(arguments={"options": [option]}))
    assert tool.args is not None
    accepted = re2.fullmatch(tool.args.pattern, str(number)) is not None
    if number >= 0 and least <= number <= most:
        assert accepted
    if number < 0 or len(str(number)) > len(str(most)) or most < 0:
        assert not accepted


def _compiled(*configs: PowerToolConfig) -> tuple[CatalogTool, ...]:
    return compile_catalog(judged(*configs)).tools


def test_only_ready_unambiguous_configs_in_force_are_in_it() -> None:
    """Suspended, invalid, doubled and foreign configs are left out; a foreign one does not make a name ambiguous."""
    mine = a_config({"name": "mine"}, name="mine")
    assert [tool.name for tool in _compiled(a_config(), mine)] == ["aperf", "mine"]
    assert _compiled(a_config(suspended=True)) == ()
    assert _compiled(a_config(security={"capabilities": {"add": ["NOPE"]}})) == ()
    assert _compiled(a_config(), a_config({"name": "other"})) == ()
    assert _compiled(a_config(), a_config({"name": "other"}, suspended=True)) == ()
    assert len(_compiled(a_config(), a_config({"namespace": "tenant"}))) == 1
    assert _compiled() == ()


def test_a_catalog_does_not_depend_on_the_order_of_configs() -> None:
    """The same configs are the same catalog: nothing is written again for nothing."""
    mine = a_config({"name": "mine"}, name="mine")
    assert compile_catalog(judged(mine, a_config())) == compile_catalog(judged(a_config(), mine))


def test_it_names_every_variable_that_the_operator_sets() -> None:
    """The list of names is what is rendered in any mode, and the ticket; the collector's address has a field."""
    claim = {"claimName": "results", "path": "/results"}
    config = a_config(output={"modes": ["pvc", "collector"], "volumes": [claim]})
    pod = a_pod(spec={"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "results"}}]})
    kept = {"mode": "collector", "compress": "zstd", "rollingInterval": "10s"}
    runs = [
        (a_powertool(), a_config()),
        (a_powertool(output=kept), config),
        (a_powertool(output={"mode": "pvc", "pvc": {"claimName": "results"}}), config),
    ]
    settings = msgspec.structs.replace(SETTINGS, collector="https://collector", collector_ca="PEM")
    rendered = [render(run, config, pod, "app", at(640), settings) for run, config in runs]
    names = {variable.name for container in rendered for variable in container.env}
    assert names == {*OPERATOR_VARIABLES, "TOE_COLLECTOR"} - {TICKET}


def test_an_administrator_s_claims_are_in_it() -> None:
    """Claims that a config lists are the ones that may be mounted."""
    claim = {"claimName": "results", "path": "/results"}
    (tool,) = _compiled(a_config(output={"modes": ["pvc"], "volumes": [claim]}))
    assert [(claim.claim_name, claim.path) for claim in tool.claims] == [("results", "/results")]


@given(raw=configs())
def test_a_catalog_is_one_that_its_own_schema_accepts(raw: Raw) -> None:
    """The API server takes what is compiled: bounds, list types and rules hold."""
    config = decode(raw)
    assert isinstance(config, PowerToolConfig)
    assert complaints(compile_catalog(judged(config))) == []
    assert problems_of(raw) == []


def test_a_grammar_that_is_too_large_for_the_fence_is_left_out() -> None:
    """One tool whose pattern the schema would refuse does not keep the others out."""
    words = [f"{number:03}" + "." * 125 for number in range(64)]
    options = [{"flag": f"-{letter}", "value": {"enum": [letter + word[1:] for word in words]}} for letter in "abcdef"]
    large = a_config({"name": "large"}, name="large", arguments={"options": options})
    assert [tool.name for tool in _compiled(large, a_config())] == ["aperf"]


def test_an_empty_catalog_has_no_tools() -> None:
    """Nothing is written down, nothing is accepted."""
    assert compile_catalog(()) == PowerToolCatalogSpec()


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("aperf", "Always"),
        ("aperf:latest", "Always"),
        ("registry.example:5000/toe/aperf", "Always"),
        ("registry.example:5000/toe/aperf:latest", "Always"),
        ("aperf:1", "IfNotPresent"),
        ("registry.example:5000/toe/aperf:1", "IfNotPresent"),
        ("aperf@sha256:" + "0" * 64, "IfNotPresent"),
        ("aperf:latest@sha256:" + "0" * 64, "Always"),
        ("registry.example:5000/toe/aperf@sha256:" + "0" * 64, "IfNotPresent"),
        ("Aperf", "IfNotPresent"),
        ("a__b--c.d/e_f", "Always"),
    ],
)
def test_the_pull_policy_is_the_one_that_the_api_server_writes(image: str, policy: str) -> None:
    """tests/cluster/test_fence.py asks a real API server about the same images."""
    assert default_pull_policy(image) == policy
