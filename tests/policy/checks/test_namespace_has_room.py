"""Not more runs of a namespace hold pods at the same time than the operator's settings say."""

import msgspec
import pytest

from tests.builders import SETTINGS, a_request
from toe.api.reasons import Reason
from toe.policy.checks.namespace_has_room import check

FEW = msgspec.structs.replace(SETTINGS, max_active_runs=3)


@pytest.mark.parametrize("active", [None, 0, 2])
def test_allows_a_run_while_there_is_a_place(active: int | None) -> None:
    """And where nobody looked, as at admission."""
    assert check(msgspec.structs.replace(a_request(), settings=FEW, active=active)) == ()


@pytest.mark.parametrize("active", [3, 4])
def test_denies_a_start_while_all_places_are_taken(active: int) -> None:
    """The run waits, it is not refused."""
    (unmet,) = check(msgspec.structs.replace(a_request(), settings=FEW, active=active))
    assert unmet.reason is Reason.NAMESPACE_BUSY
    assert unmet.message == "3 runs of production hold pods already: it waits its turn"
