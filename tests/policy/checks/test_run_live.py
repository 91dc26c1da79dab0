"""Files are kept of a run that is there and not over."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tests.builders import a_powertool
from toe.api.meta import Condition
from toe.api.powertool import PowerToolStatus
from toe.api.reasons import Reason
from toe.policy.checks.run_live import check
from toe.policy.upload import UploadRequest

NOW = datetime(2026, 10, 24, 12, tzinfo=UTC)
REQUEST = UploadRequest(run=None, run_uid="u", expires=NOW + timedelta(hours=1), now=NOW)


def _reasons(**facts: Any) -> list[Reason]:
    return [violation.reason for violation in check(msgspec.structs.replace(REQUEST, **facts))]


RUN = a_powertool()


def test_allows_the_run_of_the_ticket_also_when_it_was_canceled() -> None:
    """Where the tool has ended, its files still leave."""
    assert _reasons(run=RUN, run_uid=RUN.metadata.uid) == []
    canceled = a_powertool(cancel=True)
    assert _reasons(run=canceled, run_uid=canceled.metadata.uid) == []


def test_denies_a_run_that_is_gone_going_finished_or_another() -> None:
    """Its name is not enough."""
    going = msgspec.structs.replace(RUN, metadata=msgspec.structs.replace(RUN.metadata, deletion_timestamp="now"))
    over = PowerToolStatus(conditions=(Condition(type="Finished", status="True", reason="Completed"),))
    finished = msgspec.structs.replace(RUN, status=over)
    for run, uid in ((None, "u"), (RUN, "another"), (going, RUN.metadata.uid), (finished, RUN.metadata.uid)):
        assert _reasons(run=run, run_uid=uid) == [Reason.RUN_OVER]
