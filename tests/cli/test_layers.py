"""Predictions of the fence and of Pod Security, made of the same words as the layers themselves."""

from typing import Any

import msgspec
import pytest

from tests.builders import APPROVED, a_config, a_powertool, a_request, judged
from toe.api.powertoolcatalog import CatalogTool
from toe.api.settings import PROFILES
from toe.cli.layers import chain, predicted_fence, predicted_pod_security, rights, stamp
from toe.cli.snapshot import Observed
from toe.plan.catalog import compile_catalog
from toe.plan.snapshot import Snapshot
from toe.policy.access import Question

(PLAIN,) = judged(a_config())
(DEEP,) = judged(a_config(APPROVED, security={"allowPrivileged": True}, allowedNamespaces=["production"]))


def _entry(config: Any) -> CatalogTool:
    return compile_catalog([config]).tools[0]


@pytest.mark.parametrize(
    ("config", "change", "labels", "profile", "word", "says"),
    [
        (PLAIN, {}, {}, "standard", "passes", "what the catalog says"),
        (PLAIN, {"image": "other"}, {}, "standard", "refuses", "the catalog holds another"),
        (PLAIN, None, {}, "standard", "refuses", "not in the catalog"),
        (PLAIN, {}, None, "standard", "not known", "labels"),
        (PLAIN, {}, {}, "hardened", "refuses", "toe.run/tools=enabled"),
        (PLAIN, {}, {"toe.run/tools": "enabled"}, "hardened", "passes", "what the catalog says"),
        (DEEP, {}, {}, "standard", "refuses", "toe.run/allow-privileged-tools=true"),
        (DEEP, {}, {"toe.run/allow-privileged-tools": "true"}, "standard", "passes", "what the catalog says"),
    ],
)
def test_the_fence_is_predicted_from_the_catalog_and_the_labels(
    config: Any, change: Any, labels: Any, profile: Any, word: str, says: str
) -> None:
    """As the policies compare them."""
    entry = None if change is None else msgspec.structs.replace(_entry(config), **change)
    request = msgspec.structs.replace(
        a_request(a_powertool(), config.config), namespace_labels=labels, settings=PROFILES[profile]
    )
    layer = predicted_fence(config, entry, request)
    assert (layer.word, layer.asked) == (word, False)
    assert says in layer.says


def test_a_protected_namespace_and_an_unread_catalog() -> None:
    """Nothing runs in the one; the other is said."""
    request = a_request(a_powertool({"namespace": "kube-system"}))
    assert "toe-fence-uncovered" in predicted_fence(PLAIN, _entry(PLAIN), request).says
    request = msgspec.structs.replace(a_request(a_powertool(), PLAIN.config), namespace_labels={})
    assert "could not be read" in predicted_fence(PLAIN, "forbidden", request).says


@pytest.mark.parametrize(
    ("config", "labels", "word"),
    [
        (PLAIN, {}, "passes"),
        (DEEP, {"pod-security.kubernetes.io/enforce": "baseline"}, "refuses"),
        (PLAIN, None, "not known"),
    ],
)
def test_pod_security_is_predicted_from_the_level(config: Any, labels: Any, word: str) -> None:
    """The level that the namespace enforces, and the one that the tool needs."""
    request = msgspec.structs.replace(a_request(a_powertool(), config.config), namespace_labels=labels)
    observed = Observed(Snapshot(now=request.now, request=request))  # type: ignore[arg-type]
    assert predicted_pod_security(config, observed).word == word


def test_rules_rights_and_stamp_each_have_three_answers() -> None:
    """Yes, no, and nobody knows."""
    assert chain(a_request(a_powertool()), "toe").word == "passes"
    assert chain(a_request(a_powertool(tool={"args": ["-x"]})), "toe").word == "refuses"
    request = a_request(a_powertool())
    right = Question("use", "powertoolconfigs", "production", "aperf", "g")
    words = [layer.word for answer in (True, False, None) for layer in rights({right: answer}, request, "toe")]
    assert words == ["passes", "refuses", "not known"]
    assert (stamp("ann").word, stamp("").word) == ("passes", "refuses")
