"""The Grafana dashboard, as plain objects: what ran, whether it went well, and what toe itself needs.

Source: https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

from typing import Any, NamedTuple

Object = dict[str, Any]

SOURCE = {"type": "prometheus", "uid": "${source}"}
WIDTH, HEIGHT = 8, 7


class Panel(NamedTuple):
    """Is one picture: expressions by their legends."""

    title: str
    unit: str
    lines: dict[str, str]
    kind: str = "timeseries"


ROWS: dict[str, tuple[Panel, ...]] = {
    "What ran": (
        Panel(
            "Runs that ended, an hour",
            "short",
            {"{{tool}} {{phase}}": "sum by (tool, phase) (increase(toe_runs_total[1h]))"},
        ),
        Panel(
            "Why runs failed, a day",
            "short",
            {"{{reason}}": 'sum by (reason) (increase(toe_runs_total{phase!="Completed"}[1d]))'},
        ),
        Panel(
            "Tools by tier, a day",
            "short",
            {"{{tier}}, privileged: {{privileged}}": "sum by (tier, privileged) (increase(toe_injections_total[1d]))"},
        ),
        Panel("Runs that have not ended", "short", {"runs": "max(toe_runs_active)"}, "stat"),
        Panel(
            "From a run's creation to its container",
            "s",
            {
                "half": "histogram_quantile(0.5, sum by (le) (rate(toe_injection_seconds_bucket[5m])))",
                "99 %": "histogram_quantile(0.99, sum by (le) (rate(toe_injection_seconds_bucket[5m])))",
            },
        ),
        Panel(
            "Refused by the API server, an hour",
            "short",
            {"{{tool}}: {{reason}}": "sum by (tool, reason) (increase(toe_injections_refused_total[1h]))"},
        ),
    ),
    "Who judges": (
        Panel("Controllers that lead", "short", {"leaders": "sum(toe_leads)"}, "stat"),
        Panel("The fence stands", "short", {"fence": "max(toe_fence_in_force)"}, "stat"),
        Panel("The catalog is current", "short", {"catalog": "min(toe_catalog_is_current)"}, "stat"),
        Panel("Reviews a second", "reqps", {"{{outcome}}": "sum by (outcome) (rate(toe_webhook_reviews_total[5m]))"}),
        Panel(
            "Time of a review",
            "s",
            {"99 %": "histogram_quantile(0.99, sum by (le) (rate(toe_webhook_review_seconds_bucket[5m])))"},
        ),
        Panel(
            "Questions about rights a second",
            "reqps",
            {"{{answer}}": "sum by (answer) (rate(toe_access_reviews_total[5m]))"},
        ),
    ),
    "What is kept": (
        Panel(
            "Kept and free",
            "bytes",
            {"kept": "max(toe_collector_stored_bytes)", "free": "min(toe_collector_free_bytes)"},
        ),
        Panel("Uploaded a second", "Bps", {"bytes": "sum(rate(toe_collector_chunk_bytes_total[5m]))"}),
        Panel("Downloaded a second", "Bps", {"bytes": "sum(rate(toe_download_bytes_total[5m]))"}),
        Panel("Supervisors", "short", {"sessions": "sum(toe_collector_sessions)"}),
        Panel(
            "Refused uploads, an hour",
            "short",
            {"{{reason}}": 'sum by (reason) (increase(toe_collector_answers_total{reason!=""}[1h]))'},
        ),
        Panel(
            "Security events, a day",
            "short",
            {"{{reason}}": "sum by (reason) (increase(toe_collector_security_events_total[1d]))"},
        ),
    ),
    "How it works": (
        Panel("Waiting for a pass", "short", {"keys": "max(toe_queue_depth)"}),
        Panel("The oldest of them", "s", {"oldest": "max(toe_queue_oldest_seconds)"}),
        Panel(
            "Passes a second", "reqps", {"{{kind}} {{outcome}}": "sum by (kind, outcome) (rate(toe_passes_total[5m]))"}
        ),
        Panel(
            "Requests to the API server",
            "reqps",
            {"{{verb}} {{resource}} {{code}}": "sum by (verb, resource, code) (rate(toe_api_requests_total[5m]))"},
        ),
        Panel(
            "Time of a patch of a pod",
            "s",
            {
                "99 %": "histogram_quantile(0.99, sum by (le) (rate(toe_api_request_seconds_bucket"
                '{verb="patch",resource="pods/ephemeralcontainers"}[5m])))'
            },
        ),
        Panel(
            "Days left of certificates", "d", {"{{instance}}": "(toe_certificate_not_after_seconds - time()) / 86400"}
        ),
    ),
}


def dashboard() -> Object:
    """Returns the dashboard, to be imported or picked up by Grafana's sidecar."""
    panels: list[Object] = []
    down = 0
    for title, row in ROWS.items():
        panels.append({"type": "row", "title": title, "gridPos": {"h": 1, "w": 24, "x": 0, "y": down}, "panels": []})
        for number, panel in enumerate(row):
            place = {"h": HEIGHT, "w": WIDTH, "x": number % 3 * WIDTH, "y": down + 1 + number // 3 * HEIGHT}
            panels.append(_panel(panel, place))
        down += 1 + (len(row) + 2) // 3 * HEIGHT
    for number, found in enumerate(panels, 1):
        found["id"] = number
    variable = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return {
        "uid": "toe",
        "title": "toe",
        "tags": ["toe"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [variable]},
        "panels": panels,
    }


def _panel(panel: Panel, place: Object) -> Object:
    targets = [
        {"refId": chr(ord("A") + number), "expr": expression, "legendFormat": legend, "datasource": SOURCE}
        for number, (legend, expression) in enumerate(panel.lines.items())
    ]
    return {
        "type": panel.kind,
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": targets,
    }
