"""Alerts and dashboard: their expressions parse, and ask only for metrics and labels that the programs make."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import promql_parser as promql
import pytest
import yaml

from devcluster.__main__ import cache_here
from devcluster.binaries import Binaries, pinned_version
from docs.metrics import metrics
from tests.charts.rendering import CHART, Object

RULES = CHART / "alerts" / "rules.yaml"
CASES = Path(__file__).parent / "alerts" / "test.yaml"
SCRAPED = {"instance", "job", "namespace", "pod", "service"}
"""Labels that Prometheus adds itself."""


def _made() -> dict[str, set[str]]:
    """Returns the labels of every series that is scraped."""
    found: dict[str, set[str]] = {}
    for metric in metrics():
        labels = {*metric.labels} | SCRAPED
        if metric.kind == "histogram":
            found |= {f"{metric.name}_bucket": labels | {"le"}}
            found |= {f"{metric.name}{suffix}": labels for suffix in ("_sum", "_count")}
        else:
            found[metric.name] = labels
    return found


MADE = _made()


def _rules() -> list[Object]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def _panels() -> list[Object]:
    panels = json.loads((CHART / "dashboards" / "toe.json").read_text())["panels"]
    return [panel for panel in panels if panel["type"] != "row"]


EXPRESSIONS = {rule["alert"]: rule["expr"] for rule in _rules()} | {
    f"{panel['title']} {target['refId']}": target["expr"] for panel in _panels() for target in panel["targets"]
}


def strangers(expression: str) -> list[str]:
    """Lists what an expression asks for that nobody makes: series, labels in braces, labels in ``by`` and ``on``."""
    tree = promql.parse(expression)
    series = [*_selectors(tree)]
    found = [one.name for one in series if one.name not in MADE]
    found += [
        f"{one.name}{{{matcher.name}}}"
        for one in series
        for matcher in one.matchers.matchers
        if matcher.name not in MADE.get(one.name, ())
    ]
    known = set.union(SCRAPED, *(MADE.get(one.name, set()) for one in series))
    return found + [label for label in _grouped(tree) if label not in known]


def _nodes(node: object) -> Iterator[object]:
    yield node
    for name in ("expr", "lhs", "rhs", "vector_selector", "param"):
        if (child := getattr(node, name, None)) is not None:
            yield from _nodes(child)
    for child in getattr(node, "args", ()):
        yield from _nodes(child)


def _selectors(tree: object) -> Iterator[promql.VectorSelector]:
    yield from (node for node in _nodes(tree) if isinstance(node, promql.VectorSelector))


def _grouped(tree: object) -> Iterator[str]:
    for node in _nodes(tree):
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            yield from node.modifier.labels


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_asks_for_what_is_made(name: str) -> None:
    assert strangers(EXPRESSIONS[name]) == []


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("sum(toe_rnus_total)", ["toe_rnus_total"]),
        ('toe_runs_total{phas="Failed"}', ["toe_runs_total{phas}"]),
        ("sum by (toll) (rate(toe_runs_total[5m]))", ["toll"]),
        ("histogram_quantile(0.9, sum by (le) (rate(toe_injection_seconds[5m])))", ["toe_injection_seconds", "le"]),
        ("max(toe_leads) > 0 and (1 - (-toe_leeds))", ["toe_leeds"]),
    ],
)
def test_a_slip_is_found(expression: str, found: list[str]) -> None:
    assert strangers(expression) == found


def test_an_alert_says_what_to_do() -> None:
    for rule in _rules():
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert "{{" not in rule["annotations"]["summary"].replace("{{ $labels.", "")
    assert len({rule["alert"] for rule in _rules()}) == len(_rules())


def test_alerts_fire_when_they_should_and_not_before() -> None:
    """By promtool: ``make test-alerts`` builds it, six minutes of CPU, and runs this."""
    promtool = Binaries(cache_here(), pinned_version(), print).path("promtool")
    if not promtool.exists():
        pytest.skip("promtool is not built: make test-alerts")
    for words in (["check", "rules", str(RULES)], ["test", "rules", str(CASES)]):
        done = subprocess.run([str(promtool), *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case() -> None:
    cases = CASES.read_text()
    assert [rule["alert"] for rule in _rules() if rule["alert"] not in cases] == []
