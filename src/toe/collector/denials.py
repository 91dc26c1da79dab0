"""How toe-run is refused: a status, a reason in one word, a sentence. It knows what to do about each.

Quotes nothing of what came, so neither a ticket nor a session is ever in an answer or a log.
"""

from typing import Any

from toe.api.reasons import Reason
from toe.errors import ToeError
from toe.policy.verdict import Denied

STATUS = {
    Reason.RUN_OVER: 403,
    Reason.ADDRESS_FOREIGN: 403,
    Reason.TICKET_CLAIMED: 409,
    Reason.TOO_LARGE: 413,
    Reason.QUOTA_EXCEEDED: 507,
    Reason.STORE_FULL: 507,
}
"""What each reason of the judge is on the wire."""


class DenialError(ToeError):
    """Is a refusal; ``offset`` says where a file goes on."""

    def __init__(self, status: int, reason: str, message: str, *, offset: int | None = None) -> None:
        self.status, self.reason, self.message, self.offset = status, reason, message, offset
        super().__init__(f"{reason}: {message}")

    def answer(self) -> dict[str, Any]:
        """Returns the body of the answer."""
        found: dict[str, Any] = {"reason": self.reason, "message": self.message}
        if self.offset is not None:
            found["offset"] = self.offset
        return found


def denied(verdict: Denied) -> DenialError:
    """Tells the first of the judge's violations."""
    first = verdict.violations[0]
    return DenialError(STATUS[first.reason], first.reason, first.message)


def bad_request(message: str) -> DenialError:
    """Says that the request cannot be understood."""
    return DenialError(400, "BadRequest", message)


def bad_ticket(message: str) -> DenialError:
    """Says why a ticket is not good."""
    return DenialError(401, "BadTicket", message)


def bad_session() -> DenialError:
    """Says that nobody claimed a ticket with this session."""
    return DenialError(401, "BadSession", "no ticket was claimed with this session")


def already_complete(message: str) -> DenialError:
    """Says that nothing more may come."""
    return DenialError(409, "AlreadyComplete", message)


def wrong_offset(offset: int) -> DenialError:
    """Says where the file goes on."""
    return DenialError(409, "WrongOffset", f"the file goes on at {offset}", offset=offset)


def too_slow() -> DenialError:
    """Says that the body did not keep the least rate, or its connection was replaced by another."""
    return DenialError(408, "TooSlow", "the body did not arrive in time")


def not_ready(message: str) -> DenialError:
    """Says that the same request may go well a little later."""
    return DenialError(503, "NotReady", message)


def store_full() -> DenialError:
    """Says that the volume takes nothing more."""
    return DenialError(507, Reason.STORE_FULL, "the volume takes nothing more")
