"""The run is not in a protected namespace."""

import pytest

from tests.builders import a_config, a_powertool, a_request
from toe.api.reasons import Reason
from toe.api.settings import Settings
from toe.policy.checks.namespace_not_protected import check


def test_allows_an_ordinary_namespace() -> None:
    """Namespaces of applications are not protected."""
    assert check(a_request(a_powertool())) == ()


@pytest.mark.parametrize("namespace", ["kube-system", "kube-public", "kube-node-lease", "toe-system"])
def test_denies_the_control_plane(namespace: str) -> None:
    """No config opens these, not even one that lists them."""
    run = a_powertool(metadata={"namespace": namespace})
    (violation,) = check(a_request(run, a_config(allowedNamespaces=[namespace])))
    assert violation.reason is Reason.NAMESPACE_PROTECTED
    assert str(violation) == f"metadata.namespace: no tool runs in the namespace {namespace}: it is protected"


def test_denies_the_system_namespace_under_another_name() -> None:
    """The operator's own namespace is protected wherever it is."""
    settings = Settings(system_namespace="tools")
    run = a_powertool(metadata={"namespace": "tools"})
    assert len(check(a_request(run, settings=settings))) == 1
