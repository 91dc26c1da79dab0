"""Whoever plays one of toe's accounts is what a token bound to a pod is; everything is a dry run."""

from toe.api.settings import Settings
from toe.cli.acting import DRY_RUN, account_of


def test_an_account_comes_from_a_pod() -> None:
    """Else the policy ``token`` refuses everything, and nothing else is heard."""
    bound = account_of(Settings(), "toe-controller")
    assert bound.user == "system:serviceaccount:toe-system:toe-controller"
    assert bound.groups == (
        "system:serviceaccounts",
        "system:serviceaccounts:toe-system",
        "system:authenticated",
    )
    assert ("Impersonate-Extra-authentication.kubernetes.io%2Fpod-name", "toe-controller-doctor") in bound.headers()


def test_a_token_that_is_not_bound_has_no_pod() -> None:
    """As one that was minted or copied."""
    assert account_of(Settings(), "toe-controller", bound=False).extra == {}


def test_every_request_is_a_dry_run() -> None:
    """Whatever is sent."""
    assert DRY_RUN["dryRun"] == "All"
