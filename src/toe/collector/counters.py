"""What the collector counts, in the text format that Prometheus reads. No names of people, runs, pods or files.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections import Counter


class Counters:
    """Counts answers by path, status and reason, bytes that came, and what looks like an attack."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, int, str]] = Counter()
        self._security: Counter[str] = Counter()
        self.bytes = 0
        """Of chunks that count."""

    def answered(self, path: str, status: int, reason: str) -> None:
        """Counts one answer; ``reason`` is empty for a good one."""
        self._answers[path, status, reason] += 1

    def security(self, reason: str) -> None:
        """Counts one event that somebody should look at."""
        self._security[reason] += 1

    def text(self, **gauges: float) -> str:
        """Returns everything counted, and the gauges of this moment under their names."""
        lines = ["# TYPE toe_collector_answers_total counter"]
        lines += [
            f'toe_collector_answers_total{{path="{path}",status="{status}",reason="{reason}"}} {number}'
            for (path, status, reason), number in sorted(self._answers.items())
        ]
        lines.append("# TYPE toe_collector_security_events_total counter")
        lines += [
            f'toe_collector_security_events_total{{reason="{reason}"}} {number}'
            for reason, number in sorted(self._security.items())
        ]
        lines += ["# TYPE toe_collector_chunk_bytes_total counter", f"toe_collector_chunk_bytes_total {self.bytes}"]
        for name, value in gauges.items():
            lines += [f"# TYPE toe_collector_{name} gauge", f"toe_collector_{name} {value:.17g}"]
        return "\n".join(lines) + "\n"
