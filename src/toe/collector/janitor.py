"""Removes what belongs to sessions that have ended: at the start, and again every minute."""

import asyncio
import re
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from toe.collector.claims import Claim, Claims
from toe.collector.holds import Holds
from toe.collector.partials import Partials
from toe.collector.room import Room
from toe.collector.sessions import Sessions
from toe.errors import StoreError
from toe.store.retention import Retention

PAUSE_SECONDS = 60.0
SURVEY_ROUNDS = 10
"""What is kept is counted, and old claims are looked for, once in so many rounds."""
RETENTION_ROUNDS = 60
"""What is past its time goes once in so many rounds."""
FORGET_AFTER = timedelta(hours=1)
"""After the ticket has expired: its id can be forgotten then, since it is good for nothing."""
_TICKET = re.compile(r"[0-9a-f]{64}")
_log = structlog.get_logger(__name__)


class Janitor:
    """Cleans up after sessions; what a store does not do now is tried again at the next round."""

    def __init__(
        self,
        sessions: Sessions,
        claims: Claims,
        partials: Partials,
        room: Room,
        clock: Callable[[], datetime],
        retention: Retention | None = None,
        is_over: Callable[[Claim], bool] = lambda claim: False,
        holds: Holds | None = None,
    ) -> None:
        """Without ``retention`` nothing that is kept goes; ``is_over`` tells whether nothing more may come."""
        self._holds = holds
        self._retention, self._is_over = retention, is_over
        self._sessions, self._claims, self._partials, self._room, self._clock = sessions, claims, partials, room, clock
        self.has_surveyed = False

    async def run(self) -> None:
        """Cleans for ever."""
        rounds = 0
        while True:
            try:
                await self.sweep()
                if self._holds is not None:  # before anything is deleted
                    await self._holds.follow()
                if rounds % RETENTION_ROUNDS == 1:  # not at once: who restarts is wanted for other things first
                    await self.retire()
                if rounds % SURVEY_ROUNDS == 0:
                    await self._room.survey()
                    self.has_surveyed = True
                    await self.forget()
                rounds += 1
            except (StoreError, OSError) as error:
                _log.warning("cleaning up was interrupted", error=str(error))
            await asyncio.sleep(PAUSE_SECONDS if self.has_surveyed else 1.0)

    async def sweep(self) -> int:
        """Removes partial files of sessions that are complete or over, or that nobody claimed."""
        self._sessions.rest()
        removed = 0
        for ticket in await asyncio.to_thread(self._partials.tickets):
            claim = await self._claims.of_ticket(ticket) if _TICKET.fullmatch(ticket) else None
            if claim is None:
                removed += await asyncio.to_thread(self._partials.drop, ticket)
            elif claim.expires_at <= self._clock() or self._is_over(claim) or await self._claims.is_ended(claim):
                removed += await self._sessions.drop(claim)
        if removed:
            _log.info("partial files removed", files=removed)
        return removed

    async def retire(self) -> None:
        """Deletes artifacts whose time is over, or that are too much, and says so."""
        if self._retention is None:
            return
        done = await self._retention.run(self._clock())
        _log.info(
            "retention",
            expired=done.expired,
            over_limit=done.over_limit,
            orphans=done.orphans,
            freed=done.freed,
            kept=done.kept,
            held=done.held,
            failed=done.failed,
            unreadable=len(done.unreadable),
            missing=len(done.missing),
        )

    async def forget(self) -> int:
        """Removes claims whose tickets have expired an hour ago, and tells how many it were."""
        old = [claim async for claim in self._claims.all() if claim.expires_at + FORGET_AFTER <= self._clock()]
        for claim in old:
            await self._claims.forget(claim)
        return len(old)
