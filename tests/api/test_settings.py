"""Operator settings."""

from toe.api.settings import Settings


def test_the_control_plane_and_the_operator_are_protected() -> None:
    """The system namespace is protected wherever it is."""
    assert Settings(system_namespace="tools").protected_namespaces == (
        "kube-system",
        "kube-public",
        "kube-node-lease",
        "tools",
    )
