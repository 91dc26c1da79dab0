"""What the webhook counts. No names of people, tools or namespaces."""

from toe.kube.metrics import Metrics

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 3.0)


class Counters:
    """Counts reviews by path and outcome, and how long the answers took."""

    def __init__(self, metrics: Metrics) -> None:
        self._outcomes = metrics.counter("toe_webhook_reviews", "admission reviews by answer", "path", "outcome")
        self._seconds = metrics.histogram("toe_webhook_review_seconds", "seconds that an answer took", bounds=BOUNDS)

    def answered(self, path: str, outcome: str, seconds: float) -> None:
        """Counts one answer: ``allowed``, ``refused``, or ``bad`` for what was no review."""
        self._outcomes.labels(path, outcome).inc()
        self._seconds.observe(seconds)
