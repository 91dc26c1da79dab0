"""Why a tool is to end. That runs are followed is shown on an API server (tests/cluster)."""

import msgspec

from tests.builders import a_powertool
from toe.api.meta import Condition
from toe.api.powertool import PowerToolStatus
from toe.api.reasons import Reason
from toe.collector.runs import stop_of

RUN = a_powertool()


def test_a_run_that_is_on_goes_on() -> None:
    """Nothing says otherwise."""
    assert stop_of(RUN, suspended=False) is None


def test_a_run_that_is_gone_canceled_finished_or_whose_tool_is_suspended_ends() -> None:
    """What is deleted is told first: then not even its files leave."""
    going = msgspec.structs.replace(RUN, metadata=msgspec.structs.replace(RUN.metadata, deletion_timestamp="now"))
    over = PowerToolStatus(conditions=(Condition(type="Finished", status="True", reason="Completed"),))
    for run, suspended, reason in (
        (None, True, Reason.RUN_DELETED),
        (going, False, Reason.RUN_DELETED),
        (a_powertool(cancel=True), True, Reason.CANCELED),
        (msgspec.structs.replace(RUN, status=over), False, Reason.CANCELED),
        (RUN, True, Reason.TOOL_SUSPENDED),
    ):
        stop = stop_of(run, suspended=suspended)
        assert stop is not None
        assert stop.reason is reason
