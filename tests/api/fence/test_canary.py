"""Readiness: what is installed is what was generated, and the canary is refused by the right policy."""

import json
from typing import Any

import pytest

from toe.api.fence.canary import canary, gaps
from toe.api.fence.objects import fence
from toe.api.settings import Settings

WANTED = fence(Settings())
REFUSED = (
    "pods \"web\" is forbidden: ValidatingAdmissionPolicy '{0}' with binding '{0}' denied request: toe fence: a tool"
)


def _installed() -> list[dict[str, Any]]:
    """Returns the objects with what the API server adds."""
    found: list[dict[str, Any]] = json.loads(json.dumps(WANTED))
    for obj in found:
        obj["metadata"] |= {"uid": "u", "resourceVersion": "1"}
        if "matchConstraints" in obj["spec"]:
            obj["spec"]["matchConstraints"]["namespaceSelector"] = {}
            for rule in obj["spec"]["matchConstraints"]["resourceRules"]:
                rule["scope"] = "*"
    return found


def test_what_the_api_server_adds_is_no_gap() -> None:
    """Defaults and metadata are not ours."""
    assert gaps(WANTED, _installed()) == ()


def _policy(spec: dict[str, Any]) -> dict[str, Any]:
    return {"constraints": spec["matchConstraints"], "rule": spec["matchConstraints"]["resourceRules"][0], "spec": spec}


NARROWED: list[tuple[str, str, object]] = [
    ("spec", "matchConditions", [{"name": "off", "expression": "false"}]),
    ("constraints", "excludeResourceRules", [{"resources": ["pods/ephemeralcontainers"]}]),
    ("constraints", "objectSelector", {"matchLabels": {"a": "b"}}),
    ("constraints", "namespaceSelector", {"matchLabels": {"a": "b"}}),
    ("rule", "resourceNames", ["web"]),
    ("rule", "scope", "Cluster"),
]


@pytest.mark.parametrize(("where", "key", "value"), NARROWED, ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.parametrize("name", ["toe-fence-catalog", "toe-fence-uncovered"])
def test_a_policy_that_applies_to_less_is_a_gap(name: str, where: str, key: str, value: object) -> None:
    """One more match condition switches it off, though everything that was generated is still there."""
    found = _installed()
    changed = next(obj for obj in found if obj["metadata"]["name"] == name and "Binding" not in obj["kind"])
    _policy(changed["spec"])[where][key] = value
    assert gaps(WANTED, found) == (f"ValidatingAdmissionPolicy {name}",)


@pytest.mark.parametrize("key", ["matchResources", "paramRef"])
def test_a_binding_that_applies_to_less_is_a_gap(key: str) -> None:
    """A binding without a selector is for every namespace."""
    found = _installed()
    exec_ = next(obj for obj in found if obj["kind"].endswith("Binding") and obj["metadata"]["name"].endswith("exec"))
    exec_["spec"][key] = {"namespaceSelector": {"matchLabels": {"a": "b"}}}
    assert gaps(WANTED, found) == ("ValidatingAdmissionPolicyBinding toe-fence-exec",)


def test_what_is_missing_is_named() -> None:
    """Nothing installed: everything is missing, by kind and name."""
    assert gaps(WANTED, ()) == tuple(f"{obj['kind']} {obj['metadata']['name']}" for obj in WANTED)


@pytest.mark.parametrize("place", range(len(WANTED)))
def test_what_was_changed_is_named(place: int) -> None:
    """A weakened policy or binding is a gap, not only a lost one."""
    found = _installed()
    spec = found[place]["spec"]
    if "validations" in spec:
        spec["validations"].append({"expression": "true"})
    else:
        spec["validationActions"] = ["Warn"]
    assert gaps(WANTED, found) == (f"{WANTED[place]['kind']} {WANTED[place]['metadata']['name']}",)
    found[place]["spec"] = {"validations": {"matchConstraints": []}, "policyName": None, "validationActions": "Deny"}
    assert len(gaps(WANTED, found)) == 1


@pytest.mark.parametrize(
    ("status", "message", "is_refused"),
    [
        (403, REFUSED.format("toe-fence-catalog"), True),
        (403, REFUSED.format("toe-fence-uncovered"), False),
        (403, 'User "x" cannot patch resource "pods/ephemeralcontainers"', False),
        (403, "ValidatingAdmissionPolicy 'toe-fence-catalog' denied request: something else", False),
        (422, REFUSED.format("toe-fence-catalog"), False),
        (200, "", False),
    ],
)
def test_only_the_right_refusal_counts(status: int, message: str, is_refused: bool) -> None:
    """403 of RBAC, of another policy or of a broken expression does not prove that the fence stands."""
    assert canary("production", "web").is_refused(status, message) is is_refused


def test_a_canary_is_a_dry_run_and_knows_where_it_is() -> None:
    """It changes nothing; where the catalog does not apply the policy for such places must refuse."""
    covered, own = canary("production", "web"), canary("toe-system", "toe-1", is_covered=False)
    assert covered.path == "/api/v1/namespaces/production/pods/web/ephemeralcontainers?dryRun=All"
    assert (covered.policy, own.policy) == ("toe-fence-catalog", "toe-fence-uncovered")
