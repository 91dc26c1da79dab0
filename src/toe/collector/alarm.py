"""What somebody should look at: a ticket that two wanted. Told in the log, on the run, and counted; never too often.

Never says the ticket or a session: only whose run and pod it was, and where the second one came from.
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

import structlog

from toe.api.meta import ObjectReference
from toe.api.reasons import Reason
from toe.collector.claims import Claim
from toe.collector.counters import Counters
from toe.kube.events import EventRecorder
from toe.kube.resource import POWERTOOLS

BURST, SECONDS = 10, 60.0
"""So many lines of one ticket in this time; all of them are counted."""
REMEMBERED = 4096
_log = structlog.get_logger(__name__)


class Alarm:
    """Tells of tickets that were claimed by one and wanted by another."""

    def __init__(
        self, counters: Counters, recorder: EventRecorder | None, clock: Callable[[], datetime], most: int = BURST
    ) -> None:
        self._counters, self._recorder, self._clock, self._most = counters, recorder, clock, most
        self._told: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def ticket_claimed(self, claim: Claim, peer: str) -> None:
        """Tells that ``peer`` wanted the ticket of a claim that another one made."""
        self._counters.security(Reason.TICKET_CLAIMED)
        if not self._may_tell(claim.ticket):
            return
        _log.warning(
            "security",
            reason=Reason.TICKET_CLAIMED,
            namespace=claim.namespace,
            run=claim.run,
            run_uid=claim.run_uid,
            pod=claim.pod,
            container=claim.container,
            peer=peer,
            claimed_from=claim.peer,
        )
        if self._recorder is not None:
            self._recorder.record(
                ObjectReference(
                    api_version=POWERTOOLS.api_version,
                    kind=POWERTOOLS.kind,
                    namespace=claim.namespace,
                    name=claim.run,
                    uid=claim.run_uid,
                ),
                type="Warning",
                reason=Reason.TICKET_CLAIMED,
                message=f"the ticket of pod {claim.pod} was claimed once and is wanted again by somebody else",
                now=self._clock(),
            )

    def _may_tell(self, ticket: str) -> bool:
        now = self._clock().timestamp()
        began, told = self._told.get(ticket, (now, 0))
        if now - began > SECONDS:
            began, told = now, 0
        self._told[ticket] = began, told + 1
        self._told.move_to_end(ticket)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        return told < self._most
