"""Where addresses are compared, files come from the pod."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from toe.api.reasons import Reason
from toe.policy.checks.address_of_pod import check
from toe.policy.upload import UploadRequest

NOW = datetime(2026, 10, 24, 12, tzinfo=UTC)
REQUEST = UploadRequest(run=None, run_uid="u", expires=NOW + timedelta(hours=1), now=NOW)


def _reasons(**facts: Any) -> list[Reason]:
    return [violation.reason for violation in check(msgspec.structs.replace(REQUEST, **facts))]


def test_allows_the_pods_addresses_or_any_where_nobody_compares() -> None:
    """Of both families."""
    assert _reasons(peer="10.0.0.7") == []
    assert _reasons(peer="fd00::7", pod_addresses=("10.0.0.7", "fd00::7")) == []


def test_denies_any_other() -> None:
    """A ticket that names no address is good from none."""
    for addresses in ((), ("10.0.0.70",)):
        assert _reasons(peer="10.0.0.7", pod_addresses=addresses) == [Reason.ADDRESS_FOREIGN]
