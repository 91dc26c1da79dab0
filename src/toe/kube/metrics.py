"""What a program counts, in the format that Prometheus reads. No label holds the name of a person, run, pod or file.

Each program has one :class:`Metrics`; who counts makes what it needs of it once, and keeps it: looking a child up costs
more than counting.
Source: https://prometheus.io/docs/practices/naming/
"""

from collections.abc import Callable, Iterable, Sequence

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric

import toe

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 3.0, 10.0)
"""Bounds for what takes as long as requests do."""

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # twice the series, and nobody asks when a counter was made


class Metrics:
    """Makes metrics, and shows all of them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        info = self.gauge("toe_build_info", "the version of toe, as a label; always 1", "version")
        info.labels(toe.__version__).set(1)
        answers = self.counter(
            "toe_api_requests", "requests to the API server by its answer; 0: none", "verb", "resource", "code"
        )
        seconds = self.histogram("toe_api_request_seconds", "seconds that the API server took", "verb", "resource")
        self._answers, self._seconds = answers, seconds
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def requested(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """Counts a request to the API server: an observer of :class:`toe.kube.client.Client`."""
        key = verb, resource, code
        if key not in self._children:
            self._children[key] = self._answers.labels(verb, resource, str(code)), self._seconds.labels(verb, resource)
        counter, histogram = self._children[key]
        counter.inc()
        if verb != "watch":  # lasts for minutes, and says nothing
            histogram.observe(seconds)

    def counter(self, name: str, meaning: str, *labels: str) -> Counter:
        """Makes a counter; its name gets ``_total``."""
        return Counter(name, meaning, labels, registry=self.registry)

    def histogram(self, name: str, meaning: str, *labels: str, bounds: Sequence[float] = SECONDS) -> Histogram:
        """Makes a histogram."""
        return Histogram(name, meaning, labels, registry=self.registry, buckets=bounds)

    def gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        """Makes a gauge."""
        return Gauge(name, meaning, labels, registry=self.registry)

    def gauges(self, **told: tuple[str, Callable[[], float]]) -> None:
        """Makes gauges by name: what they mean, and what is asked for their value when somebody looks."""
        for name, (meaning, value) in told.items():
            self.gauge(name, meaning).set_function(value)

    def certificate(self, not_after: Callable[[], float]) -> None:
        """Shows when the certificate ends that this process serves with, in Unix time."""
        self.gauges(toe_certificate_not_after_seconds=("when its certificate ends, in Unix time", not_after))

    def counted(
        self, name: str, meaning: str, labels: Sequence[str], count: Callable[[], dict[tuple[str, ...], float]]
    ) -> None:
        """Shows a counter that somebody else keeps: its values by the values of ``labels``."""
        self.registry.register(_Kept(name, meaning, labels, count))

    def text(self) -> bytes:
        """Returns everything, as it is at this moment."""
        return generate_latest(self.registry)


class _Kept:
    """Is a counter that is read when somebody looks."""

    def __init__(
        self, name: str, meaning: str, labels: Sequence[str], count: Callable[[], dict[tuple[str, ...], float]]
    ) -> None:
        self._name, self._meaning, self._labels, self._count = name, meaning, labels, count

    def describe(self) -> Iterable[Metric]:
        """Returns what it is, without a value."""
        return [CounterMetricFamily(self._name, self._meaning, labels=self._labels)]

    def collect(self) -> Iterable[Metric]:
        """Returns its values."""
        family = CounterMetricFamily(self._name, self._meaning, labels=self._labels)
        for labels, value in sorted(self._count().items()):
            family.add_metric(labels, value)
        return [family]
