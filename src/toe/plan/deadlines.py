"""When time alone decides about a run: its start, the end of its tools, and the moments in between."""

from datetime import datetime, timedelta

from toe.api.powertool import PowerTool
from toe.api.time import parse_duration, parse_time
from toe.plan.snapshot import Snapshot


def not_after(run: PowerTool, start: datetime, snapshot: Snapshot) -> datetime:
    """Returns the moment no tool of the run outlives: start allowance, warmup, duration and grace after ``start``."""
    settings, tool = snapshot.request.settings, run.spec.tool
    duration = parse_duration(tool.duration) or timedelta()
    warmup = parse_duration(tool.warmup or "") or timedelta()
    return start + settings.start_allowance + warmup + duration + settings.grace


def start_of(snapshot: Snapshot) -> datetime:
    """Returns when the targets were frozen."""
    return parse_time(snapshot.request.run.status.started_at) or snapshot.now


def limit_of(snapshot: Snapshot) -> datetime:
    """Returns the run's not-after: as written down, else as it would be written."""
    run = snapshot.request.run
    return parse_time(run.status.not_after) or not_after(run, start_of(snapshot), snapshot)
