"""What a person reads of a run is what its status says, in few words."""

from typing import Any

import pytest

from tests.builders import a_powertool, at, when
from toe.api.powertool import PowerTool
from toe.report.run import Outcome, files, outcome, rows, sentence, still_running, until, waits_for


def a_target(pod: str = "shop-1", **facts: Any) -> dict[str, Any]:
    """Is one target of a status."""
    return {"pod": pod, "podUID": f"uid-{pod}", "container": "app", "toolContainer": "toe-x", **facts}


def conditions(**kinds: tuple[str, str, str]) -> list[dict[str, str]]:
    """Is conditions by type: status, reason, message."""
    return [{"type": kind, "status": s, "reason": r, "message": m} for kind, (s, r, m) in kinds.items()]


def finished(phase: str, *targets: dict[str, Any], **status: Any) -> PowerTool:
    """Is a run at its end, 12 s after it began."""
    done = sum(target["state"] == "Succeeded" for target in targets)
    facts = {
        "phase": phase,
        "conditions": conditions(Finished=("True", phase, "over"), **status.pop("more", {})),
        "targets": list(targets),
        "selectedPods": len(targets),
        "completedPods": done,
        "startedAt": when(0),
        "finishedAt": when(12),
    }
    return a_powertool(status=facts | status)


GOOD = a_target(state="Succeeded", exitCode=0)
BAD = a_target("shop-2", state="Failed", reason="ToolFailed", message="exit code 1")


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (a_powertool(), "open"),
        (finished("Completed", GOOD), "succeeded"),
        (finished("Failed", GOOD, BAD), "partly"),
        (finished("Failed", BAD), "failed"),
        (finished("Canceled", GOOD, BAD), "canceled"),
        (finished("Failed", more={"Failed": ("True", "ArgumentNotAllowed", "no")}), "refused"),
        (finished("Failed", more={"Failed": ("True", "StartDeadlineExceeded", "waited")}), "failed"),
    ],
)
def test_a_run_went_one_of_six_ways(run: PowerTool, expected: Outcome) -> None:
    """Scripts get it as the exit status: a part is not all, refused is not failed."""
    assert outcome(run) == expected


def test_a_run_that_completed_says_how_long_it_took() -> None:
    """And how many pods."""
    assert sentence(finished("Completed", GOOD)) == "Completed in 12 s, 1 of 1 pod."


def test_a_run_that_failed_says_why_once() -> None:
    """The count is in the cause already, and below a table the cause is."""
    run = finished("Failed", GOOD, BAD, lastError="1 of 2 targets failed: shop-2: ToolFailed: exit code 1")
    assert sentence(run) == "Failed in 12 s: 1 of 2 targets failed: shop-2: ToolFailed: exit code 1"
    assert sentence(run, causes=False) == "Failed in 12 s, 1 of 2 pods."


def test_a_run_that_was_refused_says_the_rule() -> None:
    """No time, no pods: nothing began."""
    assert sentence(finished("Failed", lastError="spec.tool.args[0]: no")) == "Failed: spec.tool.args[0]: no"


def test_a_cancelled_run_says_what_had_succeeded() -> None:
    """It is not called a failure."""
    assert sentence(finished("Canceled", GOOD, BAD)) == "Canceled in 12 s, 1 of 2 pods."


def test_an_open_run_says_what_it_waits_for() -> None:
    """The controller's own words, or that nobody has looked at it."""
    waiting = a_powertool(
        status={
            "phase": "Conflicted",
            "conditions": conditions(Accepted=("False", "ConflictDetected", "Pod p is taken")),
        }
    )
    assert waits_for(waiting) == "Pod p is taken"
    assert sentence(waiting) == "Conflicted: Pod p is taken"
    assert sentence(a_powertool()) == "Pending: no controller has looked at it yet"
    assert waits_for(a_powertool()) == ""


def test_a_running_target_says_how_far_it_is() -> None:
    """Warmup and duration together; never more than all of it."""
    run = a_powertool(
        tool={"warmup": "10s"}, status={"targets": [a_target(state="Running", startedAt=when(0))], "phase": "Running"}
    )
    assert [row.detail for row in rows(run, at(6))] == ["6 s of 40 s"]
    assert [row.detail for row in rows(run, at(99))] == ["40 s of 40 s"]
    assert [row.detail for row in rows(run, None)] == ["for 40 s"]


def test_a_target_that_succeeded_lists_its_files() -> None:
    """Two by name, more as a count."""
    two = [{"pod": "shop-1", "name": name, "bytes": 49152} for name in ("a", "b")]
    assert rows(finished("Completed", GOOD, artifacts=two), None)[0].detail == "exit 0, a 48 KiB, b 48 KiB"
    three = [*two, {"pod": "shop-1", "name": "c", "bytes": 0}, {"pod": "other", "name": "d", "bytes": 1}]
    assert rows(finished("Completed", GOOD, artifacts=three), None)[0].detail == "exit 0, 3 files, 96 KiB"


def test_a_target_that_failed_says_why() -> None:
    """The reason in a word and the message, safe for a terminal."""
    bad = a_target(state="Failed", reason="ToolFailed", message="exit code 1: \x1b[31mred")
    assert rows(finished("Failed", bad), None)[0].detail == "ToolFailed: exit code 1: \N{REPLACEMENT CHARACTER}[31mred"


@pytest.mark.parametrize(
    ("facts", "detail"),
    [
        ({"state": "Prepared"}, "its tool is being added"),
        ({"state": "Injected"}, "starting"),
        ({"state": "Injected", "reason": "ErrImagePull", "message": "no such image"}, "ErrImagePull: no such image"),
        ({"state": "Injected", "reason": "BackOff", "message": "BackOff: again"}, "BackOff: again"),
        ({"state": "Gone", "reason": "TargetDeleted"}, "TargetDeleted"),
    ],
)
def test_a_target_on_its_way_says_where_it_is(facts: dict[str, str], detail: str) -> None:
    """Every state has words."""
    assert [row.detail for row in rows(a_powertool(status={"targets": [a_target(**facts)]}), None)] == [detail]


def test_files_are_counted_with_their_size() -> None:
    """The status keeps the true total where its list is cut."""
    run = finished("Completed", GOOD, artifacts=[{"pod": "shop-1", "name": "a", "bytes": 1024}], bytesWritten=98304)
    assert files(run) == "1 file, 96 KiB"
    assert files(finished("Completed", GOOD)) == ""


def test_what_goes_on_running_is_what_was_injected_and_has_not_ended() -> None:
    """A Prepared target is withdrawn by a cancel, a finished run has none."""
    targets = [a_target("a", state="Running"), a_target("b", state="Injected"), a_target("c", state="Prepared"), BAD]
    run = a_powertool(status={"targets": targets, "notAfter": when(40)})
    assert [target.pod for target in still_running(run)] == ["a", "b"]
    assert until(run) == "at the latest 12:00:40 UTC"
    assert still_running(finished("Failed", BAD)) == ()
