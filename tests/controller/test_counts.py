"""What the controller counts."""

from datetime import timedelta

import msgspec

from tests.builders import NOW, a_powertool
from toe.api.powertool import PowerToolStatus
from toe.api.time import format_time
from toe.controller.counts import Counts
from toe.kube.metrics import Metrics
from toe.plan.conditions import with_condition


def _counts(*tools: str) -> tuple[Counts, Metrics]:
    metrics = Metrics()
    return Counts(metrics, tools.__contains__), metrics


def _ended(phase: str) -> PowerToolStatus:
    said = {"reason": "ToolFailed", "message": "", "now": NOW, "generation": 1}
    conditions = with_condition((), "Completed", true=phase == "Completed", **said)
    conditions = with_condition(conditions, "Finished", true=True, **said)
    return msgspec.structs.replace(PowerToolStatus(), phase=phase, conditions=conditions)


def test_a_run_is_counted_once_when_it_ends() -> None:
    """By tool, phase and reason; a later status of the same run is no other end."""
    counts, metrics = _counts("aperf")
    run = a_powertool()
    status = _ended("Failed")
    assert status.is_finished
    counts.ended(run, PowerToolStatus())
    counts.ended(run, status)
    counts.ended(msgspec.structs.replace(run, status=status), status)
    text = metrics.text().decode()
    assert f'toe_runs_total{{phase="Failed",reason="ToolFailed",tool="{run.spec.tool.name}"}} 1.0' in text


def test_a_tool_that_nobody_made_is_other() -> None:
    """Whoever types names of tools makes no series."""
    counts, metrics = _counts()
    counts.refused(a_powertool(), "PodSecurityForbids")
    assert 'toe_injections_refused_total{reason="PodSecurityForbids",tool="other"} 1.0' in metrics.text().decode()


def test_what_ran_is_counted_with_its_tier_and_how_long_it_waited() -> None:
    """A privileged one is told apart."""
    counts, metrics = _counts("aperf")
    run = a_powertool()
    created = NOW - timedelta(seconds=2)
    metadata = msgspec.structs.replace(run.metadata, creation_timestamp=format_time(created))
    counts.injected(msgspec.structs.replace(run, metadata=metadata), "Extreme", NOW, privileged=True)
    text = metrics.text().decode()
    assert f'toe_injections_total{{privileged="yes",tier="Extreme",tool="{run.spec.tool.name}"}} 1.0' in text
    assert 'toe_injection_seconds_bucket{le="1.0"} 0.0' in text
    assert 'toe_injection_seconds_bucket{le="2.5"} 1.0' in text


def test_answers_about_rights_are_counted() -> None:
    """No answer is one of them."""
    counts, metrics = _counts()
    counts.asked([True, True, False, None])
    text = metrics.text().decode()
    for answer, number in (("yes", 2), ("no", 1), ("none", 1)):
        assert f'toe_access_reviews_total{{answer="{answer}"}} {number}.0' in text
