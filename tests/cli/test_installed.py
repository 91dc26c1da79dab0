"""What is installed is read where it can be, and said to be assumed where it cannot."""

import pytest

from tests.cli.fakecluster import FakeCluster
from tests.cli.scene import Person

DEPLOYMENT = "/apis/apps/v1/namespaces/toe-system/deployments/toe-controller"


def _installed(cluster: FakeCluster, *words: str) -> None:
    spec = {"template": {"spec": {"containers": [{"name": "controller", "args": ["controller", *words]}]}}}
    cluster.put(DEPLOYMENT, {"spec": spec})


@pytest.mark.parametrize(
    ("words", "stated", "enters"),
    [
        (("--profile=hardened",), (), True),
        (("--profile=standard",), (), False),
        (("--profile=hardened",), ("--profile", "standard"), False),
        (("--profile=unheard-of",), (), False),
    ],
)
def test_the_profile_is_the_controllers(
    cluster: FakeCluster, person: Person, words: tuple[str, ...], stated: tuple[str, ...], enters: bool
) -> None:
    """Unless the person states one."""
    _installed(cluster, *words)
    ran = person("rbac", "py-spy", "--user", "ann", *stated)
    assert ("pods/exec" in ran.out) is enters


def test_an_unknown_profile_is_said(cluster: FakeCluster, person: Person) -> None:
    """Nothing is assumed silently, and nothing is said when it is known."""
    assert "standard is assumed" in person("rbac", "py-spy", "--user", "ann").err
    cluster.answers["GET", DEPLOYMENT] = (200, b"[]")
    assert "standard is assumed" in person("rbac", "py-spy", "--user", "ann").err
    del cluster.answers["GET", DEPLOYMENT]
    _installed(cluster, "--profile=standard")
    assert "assumed" not in person("rbac", "py-spy", "--user", "ann").err
