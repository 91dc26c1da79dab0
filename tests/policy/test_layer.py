"""Answers of the API server are read as they were seen on real servers."""

import pytest

from toe.policy.layer import Answered, LayerKind, answered_by

POLICY = (
    "pods \"w\" is forbidden: ValidatingAdmissionPolicy 'toe-fence-catalog' with binding 'toe-fence-catalog' "
    "denied request: toe fence: no tool zzz in the catalog"
)


@pytest.mark.parametrize(
    ("status", "message", "kind", "named"),
    [
        (200, "", "accepted", "accepted"),
        (403, POLICY, "policy", "toe-fence-catalog"),
        (403, 'admission webhook "powertool.toe.run" denied the request: no', "webhook", "webhook powertool.toe.run"),
        (400, 'admission webhook "x" denied the request', "webhook", "webhook x"),
        (
            500,
            'Internal error occurred: failed calling webhook "x": failed to call webhook: refused',
            "webhook down",
            "webhook x (it does not answer)",
        ),
        (
            403,
            'pods "w" is forbidden: violates PodSecurity "baseline:latest": privileged (container "a" must not)',
            "Pod Security",
            "Pod Security",
        ),
        (403, 'pods "w" is forbidden: exceeded quota: few, requested: pods=1, used: pods=1', "quota", "quota"),
        (403, 'pods "w" is forbidden: User "a" cannot patch resource "pods/x" in API group ""', "RBAC", "RBAC"),
        (
            403,
            'users "b" is forbidden: User "a" cannot impersonate resource "users" in API group ""',
            "impersonation",
            "impersonation",
        ),
        (422, 'Pod "w" is invalid: spec', "validation", "validation of the API"),
        (404, 'pods "w" not found', "not there", "not there"),
        (403, "no", "other", "another rule"),
        (0, "connection refused", "no answer", "no answer"),
        (503, "later", "no answer", "no answer"),
    ],
)
def test_an_answer_names_its_layer(status: int, message: str, kind: LayerKind, named: str) -> None:
    """And is named as people know it."""
    found = answered_by(status, message)
    assert (found.kind, str(found)) == (kind, named)


def test_what_was_said_is_kept() -> None:
    """The policy's own sentence, without who carried it."""
    assert answered_by(403, POLICY) == Answered("policy", "toe-fence-catalog", "toe fence: no tool zzz in the catalog")
