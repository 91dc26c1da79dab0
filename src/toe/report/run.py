"""What a person reads of a run: one row for each target, one sentence for the whole, and how it went in one word."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from toe.api.artifact import Artifact
from toe.api.meta import Condition, Struct
from toe.api.powertool import PowerTool, Target
from toe.api.quantity import format_bytes
from toe.api.reasons import Reason
from toe.api.time import parse_duration, parse_time
from toe.report.text import count, one_line, span

Outcome = Literal["open", "succeeded", "failed", "partly", "refused", "canceled"]
"""How a run went. ``partly``: some targets succeeded. ``refused``: a rule ended it before any target was chosen."""

ROW_HEADER = ("POD", "CONTAINER", "STATE", "DETAIL")
LISTED = 2
"""Files of a target that are named; more are counted."""


class Row(Struct, frozen=True, gc=False):
    """Is one target as a person reads it."""

    pod: str
    container: str
    state: str
    detail: str

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """Is the row under :data:`ROW_HEADER`."""
        return (self.pod, self.container, self.state, self.detail)


def outcome(run: PowerTool) -> Outcome:
    """Returns how a run went; ``open`` while it is not finished."""
    status = run.status
    if not status.is_finished:
        return "open"
    match status.phase:
        case "Completed":
            return "succeeded"
        case "Canceled":
            return "canceled"
    if status.completed_pods:
        return "partly"
    failed = condition(run, "Failed")
    waited = failed is not None and failed.reason == Reason.START_DEADLINE_EXCEEDED
    return "failed" if status.is_frozen or waited else "refused"


def condition(run: PowerTool, kind: str) -> Condition | None:
    """Returns a condition of the run's status."""
    return next((found for found in run.status.conditions if found.type == kind), None)


def rows(run: PowerTool, now: datetime | None) -> tuple[Row, ...]:
    """Returns a row for each target, in the order of the status; none before the targets are chosen.

    Without ``now`` a row changes only when its target does: nothing counts seconds.
    """
    return tuple(
        Row(target.pod, target.container, target.state, one_line(_detail(run, target, now)))
        for target in run.status.targets
    )


def waits_for(run: PowerTool) -> str:
    """Says what a run that has not begun waits for; empty when it has begun, or nobody has looked at it yet."""
    accepted = condition(run, "Accepted")
    if run.status.is_finished or accepted is None or accepted.status == "True":
        return ""
    return one_line(accepted.message)


def sentence(run: PowerTool, *, causes: bool = True) -> str:
    """Says in one line how the run stands: ``Completed in 12 s, 2 of 2 pods.``

    Without ``causes`` it leaves out what :func:`rows` say already.
    """
    status = run.status
    if not status.is_finished:
        return _standing(run)
    begun = parse_time(status.started_at) or parse_time(run.metadata.creation_timestamp)
    finished = parse_time(status.finished_at)
    took = f" in {span(finished - begun)}" if begun and finished else ""
    if outcome(run) == "succeeded":
        return f"Completed{took}, {_share(run)}."
    cause = one_line(status.last_error) or _message(run)
    if not status.is_frozen:
        return f"{status.phase}: {cause}"
    if outcome(run) == "canceled" or not causes:
        return f"{status.phase}{took}, {_share(run)}."
    return f"{status.phase}{took}: {cause}"


def files(run: PowerTool) -> str:
    """Says how many files there are and how large: ``2 files, 96 KiB``; empty for none."""
    artifacts = run.status.artifacts
    if not artifacts:
        return ""
    size = max(run.status.bytes_written, sum(artifact.bytes for artifact in artifacts))
    return f"{count(len(artifacts), 'file')}, {format_bytes(size)}"


def still_running(run: PowerTool) -> tuple[Target, ...]:
    """Returns the targets in which a tool is, or may start any moment."""
    if run.status.is_finished:
        return ()
    return tuple(target for target in run.status.targets if target.state in ("Injected", "Running"))


def until(run: PowerTool) -> str:
    """Says when no tool of the run lives any longer: ``at the latest 12:30:05 UTC``."""
    limit = parse_time(run.status.not_after)
    return f"at the latest {limit:%H:%M:%S} UTC" if limit else "at its not-after time"


def _standing(run: PowerTool) -> str:
    if waiting := waits_for(run):
        return f"{run.status.phase or 'Pending'}: {waiting}"
    if not run.status.is_frozen:
        return "Pending: no controller has looked at it yet"
    return f"{run.status.phase or 'Pending'}, {_share(run)} done"


def _share(run: PowerTool) -> str:
    status = run.status
    return f"{status.completed_pods} of {count(status.selected_pods, 'pod')}"


def _message(run: PowerTool) -> str:
    finished = condition(run, "Finished")
    return one_line(finished.message) if finished else ""


def _detail(run: PowerTool, target: Target, now: datetime | None) -> str:
    match target.state:
        case "Prepared":
            return "its tool is being added"
        case "Injected":
            return _cause(target) or "starting"
        case "Running":
            return _progress(run, target, now)
        case "Succeeded":
            return ", ".join(filter(None, ("exit 0", _listed(target, run.status.artifacts), target.message)))
        case _:
            return _cause(target)


def _cause(target: Target) -> str:
    """Returns reason and message; a message that begins with its reason says it once."""
    if target.message.startswith(f"{target.reason}:"):
        return target.message
    return f"{target.reason}: {target.message}".strip(": ")


def _progress(run: PowerTool, target: Target, now: datetime | None) -> str:
    started = parse_time(target.started_at)
    tool = run.spec.tool
    whole = (parse_duration(tool.duration) or timedelta()) + (parse_duration(tool.warmup or "") or timedelta())
    if started is None or now is None:
        return f"for {span(whole)}"
    passed = min(max(now - started, timedelta()), whole)
    return f"{span(passed)} of {span(whole)}"


def _listed(target: Target, artifacts: Sequence[Artifact]) -> str:
    own = [artifact for artifact in artifacts if artifact.pod == target.pod]
    if len(own) > LISTED:
        return f"{count(len(own), 'file')}, {format_bytes(sum(artifact.bytes for artifact in own))}"
    return ", ".join(f"{artifact.name} {format_bytes(artifact.bytes)}" for artifact in own)
