"""Why a tool is to end. That runs are followed is shown on an API server (tests/cluster)."""

from typing import Any

import msgspec
import pytest

from tests.builders import a_powertool
from toe.api.meta import Condition
from toe.api.powertool import PowerToolStatus
from toe.api.reasons import Reason
from toe.collector.runs import FollowedRuns, stop_of
from toe.errors import ClusterError, NotFoundError, UnavailableError

RUN = a_powertool()
RUN = msgspec.structs.replace(RUN, metadata=msgspec.structs.replace(RUN.metadata, resource_version="7"))


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


class Server:
    """Stands for the API server: it has what a test says."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.asked = answer, 0

    async def get(self, *_: object) -> Any:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_a_run_that_the_watch_has_not_told_of_is_asked_for() -> None:
    """Once: what the server said is known from then on."""
    server = Server(RUN)
    runs = FollowedRuns(server, "toe-system")  # type: ignore[arg-type]
    named = (*RUN.metadata.key, RUN.metadata.uid)
    assert runs.find(*named) is None
    for _ in range(3):
        assert await runs.confirm(*named) == RUN
    assert server.asked == 1
    assert runs.find(*named) == RUN
    assert runs.find(*RUN.metadata.key, "another") is None
    assert not runs.live


async def test_a_run_that_the_server_does_not_have_is_gone() -> None:
    """Also where another one has its name; silence is neither."""
    for answer in (NotFoundError("gone"), RUN):
        runs = FollowedRuns(Server(answer), "toe-system")  # type: ignore[arg-type]
        assert await runs.confirm(*RUN.metadata.key, "another") is None
    runs = FollowedRuns(Server(UnavailableError("later")), "toe-system")  # type: ignore[arg-type]
    with pytest.raises(ClusterError):
        await runs.confirm(*RUN.metadata.key, RUN.metadata.uid)
