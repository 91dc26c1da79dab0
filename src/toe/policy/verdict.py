"""The outcome of judging: Allowed, Denied or Undecided, a closed union that doors match exhaustively."""

from toe.api.meta import Struct
from toe.api.reasons import Reason


class Violation(Struct, frozen=True, gc=False):
    """Is one broken rule: the cause in a word, one sentence with what would be accepted, and the field."""

    reason: Reason
    message: str
    field: str = ""

    def __str__(self) -> str:
        """Is the sentence with its field in front, as people read it."""
        return f"{self.field}: {self.message}" if self.field else self.message


class Unmet(Struct, frozen=True, gc=False):
    """Is something that is missing now and may come by itself: it keeps a run waiting, it never refuses it."""

    reason: Reason
    message: str


class Allowed(Struct, frozen=True):
    """Every rule holds."""


class Denied(Struct, frozen=True):
    """At least one rule is broken; all of them are listed."""

    violations: tuple[Violation, ...]


class Undecided(Struct, frozen=True):
    """No rule is broken, but something needed is not there yet."""

    unmet: tuple[Unmet, ...]


Verdict = Allowed | Denied | Undecided
"""What :func:`toe.policy.chains.evaluate` returns."""
