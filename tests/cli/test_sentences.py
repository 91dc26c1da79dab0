"""Every error is a sentence about the thing, the rule and the way out."""

import io

import pytest

from toe.cli.screen import Screen
from toe.cli.sentences import ComplaintError, explain, lacks_kind, no_log, other_version, right, too_old
from toe.errors import (
    ClusterError,
    ConflictError,
    DecodeError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    SettingsError,
    ToeError,
    UnavailableError,
)

DENIED = 'x is forbidden: User "bob" cannot {} resource "{}" in API group "g" {}'


@pytest.mark.parametrize(
    ("error", "sentence", "hint"),
    [
        (
            ForbiddenError(DENIED.format("create", "powertools", 'in the namespace "shop"'), status=403),
            "bob may not create powertools in namespace shop",
            "ask for: verb create on powertools in namespace shop",
        ),
        (
            ForbiddenError(DENIED.format("get", "namespaces", "at the cluster scope"), status=403),
            "bob may not get namespaces",
            "ask for: verb get on namespaces in the whole cluster",
        ),
        (ForbiddenError("policy says no", status=403), "policy says no", "an administrator set this rule"),
        (ForbiddenError("Unauthorized", status=401), "does not accept these credentials", "log in again"),
        (
            NotFoundError('powertools.codriverlabs.ai.toe.run "x" not found'),
            "there is no run x",
            "is the namespace right",
        ),
        (NotFoundError('namespaces "x" not found'), "there is no namespace x", "is the namespace right"),
        (NotFoundError("the server could not find"), "the server could not find", ""),
        (ConflictError("already exists"), "already exists", ""),
        (InvalidError("bad", causes=(("spec.x", "must y"), ("", "z"))), "must y (spec.x); z", ""),
        (InvalidError("bad"), "bad", ""),
        (UnavailableError("away", status=503), "the cluster cannot answer now (503): away", "try again"),
        (UnavailableError("no connection"), "the cluster cannot be reached: no connection", "--context"),
        (DecodeError("odd", source="list"), "an answer of the cluster cannot be understood: list: odd", "upgrade"),
        (SettingsError("no kubeconfig"), "no kubeconfig", "kubectl config get-contexts"),
        (ClusterError("else"), "else", ""),
        (ToeError("else"), "else", ""),
    ],
)
def test_each_error_has_its_own_sentence(error: ToeError, sentence: str, hint: str) -> None:
    """And a way out where there is one."""
    complaint = explain(error)
    assert sentence in str(complaint)
    assert hint in " ".join(complaint.hints)


def test_the_cause_of_a_lost_connection_is_the_systems() -> None:
    """Not the name of a Python exception."""

    class ConnectorError(Exception):
        os_error = ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)")

    error = UnavailableError("no connection to https://a:1: long and ugly")
    error.__cause__ = ConnectorError()
    assert str(explain(error)) == "the cluster cannot be reached: no connection to https://a:1: Connection refused"


def test_a_missing_kind_is_no_missing_object() -> None:
    """The API server tells them apart by its words only."""
    assert lacks_kind(NotFoundError("the server could not find the requested resource"))
    assert not lacks_kind(NotFoundError('powertools.codriverlabs.ai.toe.run "x" not found'))
    assert not lacks_kind(ForbiddenError("x"))


def test_a_log_that_is_gone_says_what_went() -> None:
    """The pod, its node, or something else."""
    assert no_log(NotFoundError('pods "a" not found'), "a") == "the pod is gone, and its log with it"
    assert no_log(NotFoundError('pods "node" not found'), "a") == "its node node is gone, and the log with it"
    assert no_log(InvalidError("waiting"), "a") == "its log cannot be read: waiting"


def test_complaints_are_told_with_their_ways_out_below() -> None:
    """And give the exit status."""
    err = io.StringIO()
    complaint = ComplaintError("one", "two", hints=["way out"], status=2)
    assert complaint.tell(Screen(io.StringIO(), err, {})) == 2
    assert err.getvalue() == "error: one\nerror: two\n  way out\n"
    assert explain(complaint) is complaint


def test_versions_are_named() -> None:
    """Both of them."""
    assert str(too_old("v1.29.0", "1.33")) == "the cluster runs Kubernetes v1.29.0; toe needs 1.33 or later"
    assert "serves codriverlabs.ai.toe.run in v1, v2, this program speaks v1alpha1" in str(
        other_version(["v1", "v2"], "v1alpha1")
    )
    assert right("get", "pods", None) == "verb get on pods in the whole cluster"
