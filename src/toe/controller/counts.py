"""What the controller counts: what ran, how it ended, how long it took to begin. No names of people, runs or pods.

A tool's name is a label, since there are as many as administrators made; what names no tool of theirs is ``other``.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from toe.api.powertool import PowerTool, PowerToolStatus
from toe.api.time import parse_time
from toe.kube.metrics import Metrics

OTHER = "other"
BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0)
"""Seconds from a run's creation to its first container: most of the time it waits for something."""


class Counts:
    """Counts for one controller; ``is_tool`` tells whether there is a tool of this name."""

    def __init__(self, metrics: Metrics, is_tool: Callable[[str], bool]) -> None:
        self._is_tool = is_tool
        self._ended = metrics.counter(
            "toe_runs", "runs that ended, by tool, phase and the reason of that", "tool", "phase", "reason"
        )
        self._injected = metrics.counter(
            "toe_injections", "tool containers that were added to pods", "tool", "tier", "privileged"
        )
        self._refused = metrics.counter(
            "toe_injections_refused", "tool containers that the API server refused for good", "tool", "reason"
        )
        self._waited = metrics.histogram(
            "toe_injection_seconds", "seconds from the creation of a run to a container of it", bounds=BOUNDS
        )
        self._asked = metrics.counter(
            "toe_access_reviews", "questions about requesters' rights by answer: yes, no or none", "answer"
        )
        self._passes = metrics.counter("toe_passes", "passes over a run or a config by outcome", "kind", "outcome")

    def ended(self, run: PowerTool, status: PowerToolStatus) -> None:
        """Counts a run whose status was written, if it has just ended."""
        if not status.is_finished or run.status.is_finished:
            return
        reason = next((c.reason for c in status.conditions if c.type == "Completed"), "")
        self._ended.labels(self._tool(run), status.phase or "", reason).inc()

    def injected(self, run: PowerTool, tier: str, now: datetime, *, privileged: bool) -> None:
        """Counts a container that was added."""
        self._injected.labels(self._tool(run), tier, "yes" if privileged else "no").inc()
        created = parse_time(run.metadata.creation_timestamp) or now
        self._waited.observe(max(0.0, (now - created).total_seconds()))

    def refused(self, run: PowerTool, reason: str) -> None:
        """Counts a container that may not be added."""
        self._refused.labels(self._tool(run), reason).inc()

    def asked(self, answers: Iterable[bool | None]) -> None:
        """Counts what the API server said about rights; None: nothing."""
        for answer in answers:
            self._asked.labels("none" if answer is None else "yes" if answer else "no").inc()

    def passed(self, kind: str, outcome: str) -> None:
        """Counts a pass: ``done``, ``again`` (somebody wrote first, or no answer), or ``failed`` (not understood)."""
        self._passes.labels(kind, outcome).inc()

    def _tool(self, run: PowerTool) -> str:
        name = run.spec.tool.name
        return name if self._is_tool(name) else OTHER
