"""The duration is real and within the tool's limit."""

import pytest

from tests.builders import a_config, a_powertool, a_request, a_smuggled_config, a_smuggled_powertool
from toe.api.reasons import Reason
from toe.policy.checks.duration_within_limits import check
from toe.policy.request import Request

MINUTE = a_config(limits={"maxDuration": "1m"})


@pytest.mark.parametrize("tool", [{"duration": "1s"}, {"duration": "1m"}, {"duration": "30s", "warmup": "30s"}])
def test_allows_a_sum_within_the_limit(tool: dict[str, str]) -> None:
    """Warmup and duration together may be as long as the limit."""
    assert check(a_request(a_powertool(tool=tool), MINUTE)) == ()


@pytest.mark.parametrize(
    ("tool", "total"),
    [({"duration": "61s"}, "1m1s"), ({"duration": "31s", "warmup": "30s"}, "1m1s"), ({"duration": "1h"}, "1h")],
)
def test_denies_a_sum_above_the_limit(tool: dict[str, str], total: str) -> None:
    """A tool is in a pod no longer than the administrator said."""
    (violation,) = check(a_request(a_powertool(tool=tool), MINUTE))
    assert violation.reason is Reason.DURATION_NOT_ALLOWED
    assert str(violation) == f"spec.tool.duration: {total} is longer than the 1m that aperf permits"


@pytest.mark.parametrize(
    "text", ["", "0s", "999ms", "-5s", "1", "1h30", "1e9s", "NaN", "∞", "10y", " 30s", "30S", "9999h"]
)
def test_denies_what_is_no_duration(text: str) -> None:
    """A duration that came past the schema is refused with its field and what would be accepted."""
    run = a_smuggled_powertool(tool={"duration": text, "warmup": text})
    found = check(Request(run=run))
    assert [violation.field for violation in found] == ["spec.tool.duration", "spec.tool.warmup"]
    assert found[0].message == f"must be a Go duration of at least 1s such as 90s or 2m30s, not {text!r}"


def test_allows_an_hour_by_default_and_where_the_limit_means_nothing() -> None:
    """A limit that came past the schema and means nothing falls back to the strict default, never to no limit."""
    for config in (a_config(), a_smuggled_config(limits={"maxDuration": "forever"})):
        assert check(a_request(a_powertool(tool={"duration": "1h"}), config)) == ()
        assert len(check(a_request(a_powertool(tool={"duration": "61m"}), config))) == 1
