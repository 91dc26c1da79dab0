"""What a check of an upload looks at."""

from datetime import UTC, datetime

from toe.policy.chains import evaluate_upload
from toe.policy.upload import UploadRequest
from toe.policy.verdict import Denied


def test_a_request_that_says_nothing_is_denied_for_its_run_alone() -> None:
    """Defaults add nothing, permit nothing and limit nothing; the run is never assumed."""
    now = datetime(2026, 10, 24, tzinfo=UTC)
    verdict = evaluate_upload(UploadRequest(run=None, run_uid="u", expires=now.replace(year=2027), now=now))
    assert isinstance(verdict, Denied)
    assert [violation.message for violation in verdict.violations] == ["the run was deleted"]
