"""kubectl and our own command line read refusals as those of the API server."""

from toe.collector.refusals import forbidden, later, no_such_path, not_found, unknown_caller


def test_a_refusal_is_a_status() -> None:
    """With the name of what it is about, where there is one."""
    assert not_found("x").answer() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'artifacts.artifacts.toe.run "x" not found',
        "reason": "NotFound",
        "code": 404,
        "details": {"name": "x", "group": "artifacts.toe.run", "kind": "artifacts"},
    }


def test_a_missing_right_is_told_as_rbac_tells_it() -> None:
    """So that a program finds user, verb, resource and namespace in it."""
    assert forbidden("alice", "get", "artifacts/content", "shop", "x").message == (
        'artifacts.artifacts.toe.run "x" is forbidden: User "alice" cannot get resource "artifacts/content" in '
        'API group "artifacts.toe.run" in the namespace "shop"'
    )
    assert forbidden("alice", "list", "artifacts", "", "").message.endswith("at the cluster scope")


def test_an_unknown_caller_learns_nothing() -> None:
    """Not even that there are artifacts."""
    assert unknown_caller().answer()["message"] == "Unauthorized"
    assert no_such_path().status == 404


def test_what_may_go_well_later_says_when() -> None:
    """In seconds."""
    assert later("not now", 5).headers == {"Retry-After": "5"}
