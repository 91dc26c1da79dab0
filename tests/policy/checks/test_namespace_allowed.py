"""The tool may be used in the run's namespace."""

import pytest

from tests.builders import a_config, a_powertool, a_request, a_smuggled_config
from toe.api.reasons import Reason
from toe.policy.checks.namespace_allowed import check
from toe.policy.request import Request

LISTED = a_config(allowedNamespaces=["production", "staging"])


def test_allows_a_listed_namespace() -> None:
    """An exact name opens a namespace."""
    assert check(a_request(a_powertool(), LISTED)) == ()


def test_allows_every_namespace_where_none_is_listed() -> None:
    """An absent list means every namespace that is not protected."""
    assert check(a_request(a_powertool(metadata={"namespace": "anything"}))) == ()
    assert check(Request(run=a_powertool())) == ()


@pytest.mark.parametrize("namespace", ["dev", "prod", "production-2", "Production", "", "*"])
def test_denies_every_other_namespace_in_these_words(namespace: str) -> None:
    """The message is the one people know from the Go implementation."""
    (violation,) = check(a_request(a_powertool(metadata={"namespace": namespace}), LISTED))
    assert violation.reason is Reason.NAMESPACE_NOT_ALLOWED
    assert str(violation) == (
        f"PowerTool namespace '{namespace}' is not allowed for tool 'aperf'. Allowed namespaces: [production staging]"
    )


def test_denies_everything_where_the_list_is_empty() -> None:
    """An empty list that came past the schema allows nothing."""
    assert len(check(a_request(a_powertool(), a_smuggled_config(allowedNamespaces=[])))) == 1


def test_denies_by_exact_words_only() -> None:
    """A wildcard that came past the schema is a name like any other."""
    assert len(check(a_request(a_powertool(), a_smuggled_config(allowedNamespaces=["*", "prod.*"])))) == 1
