"""What a program finds around it."""

from toe.api.surroundings import Surroundings

HOME = "/home/alice"


def test_the_kubeconfig_is_the_one_that_kubectl_takes() -> None:
    """All files of $KUBECONFIG in order, else the one at home; empty parts do not count."""
    listed = Surroundings(environment={"KUBECONFIG": "/a:/b::"}, home=HOME)
    assert listed.kubeconfig == ("/a", "/b")
    assert Surroundings(environment={}, home=HOME).kubeconfig == ("/home/alice/.kube/config",)
