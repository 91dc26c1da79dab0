"""What is counted is shown as Prometheus reads it."""

from toe.kube.metrics import Metrics


def _lines(metrics: Metrics) -> list[str]:
    return metrics.text().decode().splitlines()


def test_requests_are_counted_by_answer_and_watches_are_not_timed() -> None:
    """A watch lasts for minutes, and its duration says nothing of the API server."""
    metrics = Metrics()
    for verb, code in (("patch", 200), ("patch", 409), ("patch", 200), ("watch", 200)):
        metrics.requested(verb, "pods", code, 0.2)
    lines = _lines(metrics)
    assert 'toe_api_requests_total{code="200",resource="pods",verb="patch"} 2.0' in lines
    assert 'toe_api_requests_total{code="409",resource="pods",verb="patch"} 1.0' in lines
    assert 'toe_api_request_seconds_count{resource="pods",verb="patch"} 3.0' in lines
    assert 'toe_api_request_seconds_count{resource="pods",verb="watch"} 0.0' in lines


def test_gauges_are_asked_when_somebody_looks() -> None:
    """And not before."""
    metrics, values = Metrics(), [1.0]
    metrics.gauges(toe_queue_depth=("what waits", lambda: values[-1]))
    values.append(7.0)
    assert "toe_queue_depth 7.0" in _lines(metrics)


def test_a_count_that_somebody_else_keeps_is_a_counter() -> None:
    """With labels or without."""
    metrics = Metrics()
    metrics.counted("toe_downloads", "downloads", (), lambda: {(): 3})
    metrics.counted("toe_requests", "requests", ("code",), lambda: {("404",): 2, ("200",): 1})
    lines = _lines(metrics)
    assert {"# TYPE toe_downloads_total counter", "toe_downloads_total 3.0"} <= set(lines)
    assert {'toe_requests_total{code="404"} 2.0', 'toe_requests_total{code="200"} 1.0'} <= set(lines)


def test_no_metric_says_when_it_was_made() -> None:
    """Twice the series, for nobody."""
    metrics = Metrics()
    metrics.counter("toe_x", "x").inc()
    assert not any("_created" in line for line in _lines(metrics))
