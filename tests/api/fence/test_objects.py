"""The fence as a set of objects: complete, fail closed, and the same for the same settings."""

import re
from typing import Any, get_args

import pytest

from toe.api.fence import requester
from toe.api.fence.catalog import MARKER, custom_resource_definition, empty_catalog
from toe.api.fence.objects import fence, parameter
from toe.api.fence.policy import PREFIX, quoted
from toe.api.settings import PROFILES as SETTINGS
from toe.api.settings import Profile, Settings
from toe.policy.arguments import MARKER as SUPERVISORS
from toe.policy.checks.privileged_permitted import LABEL

ELSEWHERE = Settings(system_namespace="ops", max_containers_per_pod=3, require_use="Low")
PROFILES: tuple[Profile, ...] = get_args(Profile)
STANDARD = (
    *("catalog", "uncovered", "token", "mint", "writers"),
    *("exec", "labels", "place", "deletion"),
)


def _of(kind: str, objects: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    return [obj for obj in objects if obj["kind"] == f"ValidatingAdmission{kind}"]


def _names(objects: list[dict[str, Any]]) -> list[str]:
    return [obj["metadata"]["name"].removeprefix("toe-fence-") for obj in objects]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("stamped", [False, True])
def test_every_policy_has_its_binding_and_all_bindings_come_last(profile: Profile, stamped: bool) -> None:
    """No binding is installed before its policy: that would be silently open."""
    objects = fence(SETTINGS[profile], profile, stamped=stamped)
    policies, bindings = _of("Policy", objects), _of("PolicyBinding", objects)
    assert [*policies, *bindings] == list(objects)
    more = (*(["use"] if profile == "hardened" else []), *(["requester"] if stamped else []))
    assert _names(policies) == [*STANDARD, *more]
    twice = ["unopened"] if profile == "hardened" else []
    assert _names(bindings) == [*STANDARD[:2], *twice, *STANDARD[2:], *more]
    for binding in bindings:
        name = binding["metadata"]["name"].replace("unopened", "uncovered")
        assert binding["spec"]["policyName"] == name


@pytest.mark.parametrize("profile", PROFILES)
def test_everything_fails_closed_and_says_whose_refusal_it_is(profile: Profile) -> None:
    """failurePolicy Fail, action Deny, reason Forbidden, and a sentence that begins with ``toe fence:``."""
    objects = fence(SETTINGS[profile], profile, stamped=True)
    for policy in _of("Policy", objects):
        assert policy["spec"]["failurePolicy"] == "Fail"
        for validation in policy["spec"]["validations"]:
            assert validation["message"].startswith(PREFIX)
            assert validation.get("messageExpression", quoted(PREFIX)).startswith(quoted(PREFIX))
            assert validation["reason"] == "Forbidden"
            assert "\n" not in validation["message"]
    for binding in _of("PolicyBinding", objects):
        assert binding["spec"]["validationActions"] == ["Deny"]


@pytest.mark.parametrize("profile", PROFILES)
def test_only_the_catalog_has_a_parameter_and_a_missing_one_refuses(profile: Profile) -> None:
    """It is named, never selected: a selector accepts what matches no object."""
    bindings = _of("PolicyBinding", fence(Settings(), profile))
    with_parameter = [binding for binding in bindings if "paramRef" in binding["spec"]]
    assert _names(with_parameter) == ["catalog"]
    assert with_parameter[0]["spec"]["paramRef"] == {
        "namespace": "toe-system",
        "name": "catalog",
        "parameterNotFoundAction": "Deny",
    }


def test_the_profile_says_what_is_covered() -> None:
    """Standard: every namespace that is not protected. Hardened: of those the labelled ones."""
    names = ["kube-system", "kube-public", "kube-node-lease", "toe-system"]
    protected = [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": names}]
    for profile, selector in {
        "standard": {"matchExpressions": protected},
        "hardened": {"matchLabels": {"toe.run/tools": "enabled"}, "matchExpressions": protected},
    }.items():
        (binding,) = [b for b in _of("PolicyBinding", fence(Settings(), profile)) if "paramRef" in b["spec"]]  # type: ignore[arg-type]
        assert binding["spec"]["matchResources"]["namespaceSelector"] == selector


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("label", [None, "enabled", "disabled", ""])
@pytest.mark.parametrize("name", ["kube-system", "kube-public", "kube-node-lease", "toe-system", "shop", "default"])
def test_one_binding_and_one_only_covers_each_namespace(profile: Profile, label: str | None, name: str) -> None:
    """Whoever adds an ephemeral container meets the catalog or its stand-in, whatever the namespace's labels."""
    labels = {"kubernetes.io/metadata.name": name} | ({} if label is None else {"toe.run/tools": label})
    objects = fence(SETTINGS[profile], profile)
    injects = [
        policy["metadata"]["name"]
        for policy in _of("Policy", objects)
        if any("pods/ephemeralcontainers" in rule["resources"] for rule in _rules(policy))
    ]
    meets = [
        binding["spec"]["policyName"].removeprefix("toe-fence-")
        for binding in _of("PolicyBinding", objects)
        if binding["spec"]["policyName"] in injects and _selects(binding, labels)
    ]
    is_open = name in ("shop", "default") and (profile != "hardened" or label == "enabled")
    assert meets == ["catalog" if is_open else "uncovered"]


def _rules(policy: dict[str, Any]) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = policy["spec"]["matchConstraints"]["resourceRules"]
    return rules


def _selects(binding: dict[str, Any], labels: dict[str, str]) -> bool:
    selector = binding["spec"]["matchResources"]["namespaceSelector"]
    asked = [
        (labels.get(one["key"]) in one["values"]) == (one["operator"] == "In")
        for one in selector.get("matchExpressions", ())
    ]
    return all(asked) and selector.get("matchLabels", {}).items() <= labels.items()


def test_the_settings_are_in_it() -> None:
    """Another system namespace and another number of containers are followed everywhere."""
    text = repr((fence(ELSEWHERE, "hardened", stamped=True), parameter(ELSEWHERE), requester.stamp()))
    assert "toe-system" not in text
    assert "system:serviceaccount:ops:toe-controller" in text
    assert "<= 3" in text


def test_the_words_that_two_rooms_share_are_the_same() -> None:
    """The fence may not import the judges, so it repeats two of their words."""
    assert MARKER == SUPERVISORS
    assert f"labels[?{quoted(LABEL)}]" in repr(fence(Settings())).replace("\\", "")


def test_the_empty_catalog_comes_after_its_definition() -> None:
    """What is installed before the fence, in order."""
    definition, catalog = parameter(Settings())
    assert definition == custom_resource_definition()
    assert catalog == empty_catalog(Settings())
    assert catalog["spec"] == {"tools": []}
    assert definition["metadata"]["name"] == "powertoolcatalogs.codriverlabs.ai.toe.run"


@pytest.mark.parametrize("value", ["plain", "it's", "back\\slash", "\\'", "'"])
def test_a_quoted_word_is_one_word(value: str) -> None:
    """Nothing in a setting ends a CEL string early."""
    inner = quoted(value)[1:-1]
    assert re.sub(r"\\(.)", r"\1", inner) == value
    assert re.fullmatch(r"(?:[^'\\]|\\.)*", inner)


def test_the_stamp_is_apart_and_has_no_exception() -> None:
    """It needs Kubernetes 1.36; nobody is exempt from it."""
    policy, binding = requester.stamp()
    assert (policy["kind"], binding["kind"]) == ("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding")
    assert "matchConditions" not in policy["spec"]
    assert policy["spec"]["failurePolicy"] == "Fail"
    expression = policy["spec"]["mutations"][0]["jsonPatch"]["expression"]
    assert expression.startswith("!has(object.spec) || type(object.spec) != map ? [] :")
