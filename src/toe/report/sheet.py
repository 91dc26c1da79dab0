"""The doctor's sheet: one line for each attack and inspection, with who answered."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal

from toe.api.fence.policy import NAME_PREFIX
from toe.api.meta import Struct
from toe.policy.attacks import Attack
from toe.policy.attempts import WAYS
from toe.policy.layer import Answered
from toe.report.text import columns, count

Outcome = Literal["PASS", "FAIL", "not tried"]


class Line(Struct, frozen=True):
    """Is one line: what was tried as whom, what became of it, and the way out where it did not pass."""

    name: str
    outcome: Outcome
    tried: str
    who: str = ""
    answer: str = ""
    """The policy or layer that answered, or what was found."""
    way_out: str = ""
    """What to do where it failed, or how to have it tried."""


def untried(attack: Attack, why: str) -> Line:
    """Returns the line of an attack that could not be tried, with what would help."""
    return Line(attack.name, "not tried", attack.tried, attack.who, why, WAYS.get(why, ""))


def missing_for(attack: Attack, broken: Collection[str]) -> str:
    """Returns what an attack needs and is not in force, which another line says; empty when it can be tried."""
    policies = [name for name in attack.by if name not in ("webhook", "Pod Security")]
    return next((need for need in (*attack.needs, *policies) if need in broken), "")


def judged(
    attack: Attack, answered: Answered, requester: str = "", caller: str = "", let_in: Sequence[str] = ()
) -> Line:
    """Returns the line of an attack that was answered.

    ``requester`` is who was stamped, ``caller`` who asked, ``let_in`` what an answer says that means it got through.
    """

    def line(outcome: Outcome, answer: str, way_out: str = "") -> Line:
        return Line(attack.name, outcome, attack.tried, attack.who, answer, way_out)

    match answered.kind:
        case "not there" | "validation" | "no answer" | "RBAC" if any(word in answered.said for word in let_in):
            return line("FAIL", f"let in: nobody refused it, {_wanted(attack)} should have", INSTALL)
        case "impersonation" | "no answer" | "not there":
            return line("not tried", f"{answered}: {answered.said}")
        case "RBAC":
            return line("not tried", f"RBAC refused before the layer that was meant: {answered.said}")
        case "accepted" if attack.is_stamped and requester == caller:
            return line("PASS", f"the stamp: the requester became {requester}")
        case "accepted" if attack.is_stamped:
            return line("FAIL", f"accepted in the name of {requester or 'nobody'}", STAMP)
        case "accepted" if not attack.by:
            return line("PASS", "accepted")
        case "accepted":
            return line("FAIL", f"accepted: nobody refused it, {_wanted(attack)} should have", INSTALL)
    policy = answered.name.removeprefix(NAME_PREFIX) if answered.name.startswith(NAME_PREFIX) else ""
    if (policy or answered.kind) in attack.by:
        return line("PASS", f"{answered} refused")
    wanted = f"{_wanted(attack)} should have" if attack.by else "it should have been accepted"
    return line("FAIL", f"{answered} refused, {wanted}: {answered.said}", _way_out(answered))


STAMP = "install the stamp: MutatingAdmissionPolicy toe-fence-requester (Kubernetes 1.36 and later)"
INSTALL = "install the policies of this version again; another policy or a changed one may be in the way"


def _wanted(attack: Attack) -> str:
    names = [name if name in ("webhook", "Pod Security") else NAME_PREFIX + name for name in attack.by]
    return " or ".join(names)


def _way_out(answered: Answered) -> str:
    match answered.kind:
        case "webhook down":
            return "bring the webhook up: kubectl get pods -n toe-system"
        case "quota":
            return "raise the quota of the namespace"
        case "Pod Security":
            return "is the Pod Security level of the namespace meant?"
        case _:
            return INSTALL


def lines(sheet: Iterable[Line], width: int | None = None) -> list[str]:
    """Returns the sheet as people read it: one line each, and below what did not pass its way out."""
    found = list(sheet)
    rows = [(line.outcome, line.name, line.tried, line.who or "-", line.answer) for line in found]
    header = ("", "ATTACK", "TRIED", "AS", "ANSWER")
    least = [max(len(row[index]) for row in (header, *rows)) for index in range(4)]
    printed = columns(header, [], width, least=least)
    for line, row in zip(found, rows, strict=True):
        printed += columns(row, [], width, least=least)
        if line.outcome != "PASS" and line.way_out:
            printed.append(f"      way out: {line.way_out}")
    return printed


def summary(sheet: Iterable[Line]) -> str:
    """Says how many passed, failed, and were not tried."""
    outcomes = [line.outcome for line in sheet]
    passed, failed, rest = (outcomes.count(word) for word in ("PASS", "FAIL", "not tried"))
    return f"{count(len(outcomes), 'line')}: {passed} passed, {failed} failed, {rest} not tried"


def status(sheet: Iterable[Line]) -> int:
    """Returns the exit status: 1 when something failed, else 3 when something could not be tried, else 0."""
    outcomes = {line.outcome for line in sheet}
    if "FAIL" in outcomes:
        return 1
    return 3 if "not tried" in outcomes else 0


def plain(sheet: Iterable[Line]) -> list[dict[str, Any]]:
    """Returns the sheet as data."""
    return [
        {
            "name": line.name,
            "outcome": line.outcome,
            "tried": line.tried,
            "as": line.who,
            "answer": line.answer,
            **({"wayOut": line.way_out} if line.way_out else {}),
        }
        for line in sheet
    ]
