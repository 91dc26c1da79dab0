"""The API server's fence around the operator is in force."""

import msgspec

from tests.builders import a_request
from toe.api.reasons import Reason
from toe.policy.checks.fence_in_force import check
from toe.policy.verdict import Unmet


def test_allows_a_fence_in_force() -> None:
    """Nothing is missing."""
    assert check(a_request()) == ()


def test_waits_while_the_fence_is_down() -> None:
    """It can be mended; the run says what is missing. Nothing here denies: a policy may be on its way."""
    (answer,) = check(msgspec.structs.replace(a_request(), fence_missing="toe-fence-catalog is gone"))
    assert answer == Unmet(Reason.FENCE_NOT_IN_FORCE, "the fence is not in force: toe-fence-catalog is gone")
