"""What the collector counts. No names of people, runs, pods or files."""

from toe.kube.metrics import Metrics


class Counters:
    """Counts answers by path, status and reason, bytes that came, and what looks like an attack."""

    def __init__(self, metrics: Metrics) -> None:
        self._answers = metrics.counter(
            "toe_collector_answers",
            "answers to supervisors; the reason is empty for good ones",
            "path",
            "status",
            "reason",
        )
        self._security = metrics.counter(
            "toe_collector_security_events", "what somebody should look at, such as a ticket used twice", "reason"
        )
        self._bytes = metrics.counter("toe_collector_chunk_bytes", "bytes of uploads that count")

    def answered(self, path: str, status: int, reason: str) -> None:
        """Counts one answer; ``reason`` is empty for a good one."""
        self._answers.labels(path, str(status), reason).inc()

    def security(self, reason: str) -> None:
        """Counts one event that somebody should look at."""
        self._security.labels(reason).inc()

    def came(self, length: int) -> None:
        """Counts bytes of a chunk that counts."""
        self._bytes.inc(length)
