"""What the webhook counts, in the text format that Prometheus reads. No names of people, tools or namespaces.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections import Counter

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 3.0)


class Counters:
    """Counts reviews by path and outcome, and how long the answers took."""

    def __init__(self) -> None:
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._within: Counter[float] = Counter()
        self._seconds = 0.0
        self._count = 0

    def answered(self, path: str, outcome: str, seconds: float) -> None:
        """Counts one answer: ``allowed``, ``refused``, or ``bad`` for what was no review."""
        self._outcomes[path, outcome] += 1
        self._seconds += seconds
        self._count += 1
        self._within.update(bound for bound in BOUNDS if seconds <= bound)

    def text(self, **gauges: float) -> str:
        """Returns everything counted, and the gauges of this moment under their names."""
        lines = ["# TYPE toe_webhook_reviews_total counter"]
        lines += [
            f'toe_webhook_reviews_total{{path="{path}",outcome="{outcome}"}} {number}'
            for (path, outcome), number in sorted(self._outcomes.items())
        ]
        lines.append("# TYPE toe_webhook_review_seconds histogram")
        lines += [f'toe_webhook_review_seconds_bucket{{le="{bound}"}} {self._within[bound]}' for bound in BOUNDS]
        lines.append(f'toe_webhook_review_seconds_bucket{{le="+Inf"}} {self._count}')
        lines += [
            f"toe_webhook_review_seconds_sum {self._seconds:.6f}",
            f"toe_webhook_review_seconds_count {self._count}",
        ]
        for name, value in gauges.items():
            lines += [f"# TYPE toe_{name} gauge", f"toe_{name} {value:.17g}"]
        return "\n".join(lines) + "\n"
