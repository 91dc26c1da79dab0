"""One line an attack; a refusal counts from the layer that promises it only."""

import pytest

from toe.policy.attacks import ATTACKS, Attack
from toe.policy.layer import Answered
from toe.report.sheet import Line, judged, lines, missing_for, plain, status, summary, untried


def _attack(name: str) -> Attack:
    return next(attack for attack in ATTACKS if attack.name == name)


FENCED, NAMES = Answered("policy", "toe-fence-catalog", "no"), Answered("policy", "toe-fence-names", "no")
ACCEPTED, POD_SECURITY = Answered("accepted"), Answered("Pod Security", said="violates")


@pytest.mark.parametrize(
    ("name", "answered", "outcome", "says"),
    [
        ("foreign image", FENCED, "PASS", "toe-fence-catalog refused"),
        ("foreign image", NAMES, "FAIL", "toe-fence-names refused, toe-fence-catalog should have"),
        ("foreign image", Answered("policy", "theirs", "no"), "FAIL", "theirs refused"),
        ("foreign image", ACCEPTED, "FAIL", "nobody refused it, toe-fence-catalog should have"),
        ("foreign image", POD_SECURITY, "FAIL", "Pod Security refused"),
        ("foreign image", Answered("quota", said="few"), "FAIL", "quota refused"),
        ("privileged", POD_SECURITY, "PASS", "Pod Security refused"),
        ("foreign image", Answered("RBAC", said="cannot"), "not tried", "RBAC refused before"),
        ("foreign image", Answered("impersonation"), "not tried", "impersonation"),
        ("own tool", ACCEPTED, "PASS", "accepted"),
        ("own tool", FENCED, "FAIL", "it should have been accepted"),
        ("duplicate tool", Answered("webhook", "w", "held"), "PASS", "webhook w refused"),
        ("duplicate tool", Answered("webhook down", "w", "refused"), "FAIL", "does not answer"),
        ("minted token", Answered("not there", said='pods "toe-doctor" not found'), "FAIL", "let in"),
        ("minted token", Answered("not there", said='serviceaccounts "x" not found'), "not tried", "not there"),
        ("exec into a tool", Answered("validation", said="container toe-doctor-0 is not valid"), "FAIL", "let in"),
        ("exec into a tool", Answered("RBAC", said='cannot create resource "pods/exec"'), "FAIL", "let in"),
        ("exec into a tool", Answered("RBAC", said='cannot get resource "pods/exec"'), "not tried", "RBAC"),
    ],
)
def test_an_answer_is_judged_by_who_gave_it(name: str, answered: Answered, outcome: str, says: str) -> None:
    """Another 403 proves nothing."""
    line = judged(_attack(name), answered, let_in=("toe-doctor", 'cannot create resource "pods/exec"'))
    assert line.outcome == outcome
    assert says in line.answer


@pytest.mark.parametrize(("requester", "outcome"), [("me", "PASS"), ("boss", "FAIL"), ("", "FAIL")])
def test_a_forged_requester_must_have_become_the_caller(requester: str, outcome: str) -> None:
    """Accepted is not enough."""
    assert judged(_attack("forged requester"), ACCEPTED, requester, "me").outcome == outcome


def test_what_is_not_in_force_is_not_attacked() -> None:
    """One fault is one failing line."""
    attack = _attack("foreign image")
    assert missing_for(attack, {"catalog"}) == "catalog"
    assert missing_for(attack, {"the catalog"}) == "the catalog"
    assert missing_for(attack, {"names", "the webhook"}) == ""
    assert missing_for(_attack("duplicate tool"), {"the webhook"}) == "the webhook"
    assert missing_for(_attack("forged requester"), {"requester"}) == "requester"
    assert untried(attack, "why").outcome == "not tried"


def test_the_sheet_counts_and_decides_the_exit_status() -> None:
    """A failure beats what could not be tried."""
    good = Line("a", "PASS", "tried", "me", "toe-fence-x refused")
    bad = Line("b", "FAIL", "tried", "", "accepted", "mend it")
    open_ = Line("c", "not tried", "tried", "me", "why")
    assert [status(sheet) for sheet in ([good], [good, open_], [good, open_, bad])] == [0, 3, 1]
    assert summary([good, bad, open_]) == "3 lines: 1 passed, 1 failed, 1 not tried"
    assert lines([good, bad]) == [
        "      ATTACK  TRIED  AS  ANSWER",
        "PASS  a       tried  me  toe-fence-x refused",
        "FAIL  b       tried  -   accepted",
        "      way out: mend it",
    ]
    assert plain([bad])[0]["wayOut"] == "mend it"
    assert "wayOut" not in plain([good])[0]
