"""The dashboard, the alerts and the page for operators speak of metrics and log lines that there are."""

import ast
import importlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import prometheus_client
import pytest

promql_parser = pytest.importorskip("promql_parser", reason="the extra deploy is not installed")
yaml = pytest.importorskip("yaml", reason="the extra deploy is not installed")

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
PACKAGES = ("gateway", "services/harness", "services/translator", "services/summarizer")
OF_PROMETHEUS_CLIENT = {"process_resident_memory_bytes", "process_cpu_seconds_total"}


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (path for path in sorted((ROOT / package).glob("**/*.py")) if "conversion" not in path.parts)


def our_metrics() -> dict[str, Any]:
    for path in sources():
        if "prometheus_client" in path.read_text():
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return {
        metric.name: metric for metric in prometheus_client.REGISTRY.collect() if metric.name.startswith("khulasa_")
    }


def series_of(metric: Any) -> set[str]:
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",), "gauge": ("",)}
    return {metric.name + ending for ending in endings[metric.type]}


def named_series(expression: str) -> set[str]:
    found: set[str] = set()

    def walk(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.add(node.name)
        for child in ("lhs", "rhs", "expr", "vector_selector"):
            if (below := getattr(node, child, None)) is not None:
                walk(below)
        for argument in getattr(node, "args", None) or ():
            walk(argument)

    walk(promql_parser.parse(expression))
    return found


def dashboard_expressions() -> list[str]:
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    targets = [target for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return [target["expr"].replace("$__rate_interval", "5m") for target in targets]


def alerts() -> list[dict[str, Any]]:
    [group] = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def test_every_series_in_the_dashboard_and_the_alerts_is_one_that_we_have() -> None:
    """Every expression is PromQL, asks for something, and names no metric that was renamed."""
    known = set().union(*(series_of(metric) for metric in our_metrics().values())) | OF_PROMETHEUS_CLIENT
    for expression in [*dashboard_expressions(), *(alert["expr"] for alert in alerts())]:
        named = named_series(expression)
        assert named, expression
        assert named <= known, expression


def test_the_adapter_serves_the_metric_that_the_translator_is_scaled_by() -> None:
    """The same name in the adapter's rule, in the chart and in the code."""
    [rule] = yaml.safe_load((DEPLOY / "prometheus" / "adapter.yaml").read_text())["rules"]["custom"]
    assert rule["seriesQuery"].startswith("khulasa_queue_sentences{")
    assert "khulasa_queue_sentences" in our_metrics()
    assert "khulasa_queue_sentences" in (DEPLOY / "helm/khulasa/templates/translator/hpa.yaml").read_text()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool (Debian's package prometheus)")
def test_each_alert_fires_when_it_should_and_not_before() -> None:
    """As Prometheus itself evaluates them, over made-up series."""
    cases = DEPLOY / "prometheus" / "alerts_test.yaml"
    tested = {
        each["alertname"] for test in yaml.safe_load(cases.read_text())["tests"] for each in test["alert_rule_test"]
    }
    assert tested == {alert["alert"] for alert in alerts()}
    result = subprocess.run(["promtool", "test", "rules", cases], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_says_what_to_do() -> None:
    """Its runbook is a heading of the page for operators."""
    for alert in alerts():
        page, _, anchor = alert["annotations"]["runbook"].partition("#")
        assert (ROOT / page).is_file()
        assert anchor == alert["alert"].lower()
        assert f"### {alert['alert']}\n" in OPERATIONS


def test_every_metric_has_a_help_sentence_and_a_line_for_operators() -> None:
    """What can be scraped can be looked up."""
    metrics = our_metrics()
    assert all(metric.documentation.endswith(".") for metric in metrics.values())
    listed = set(re.findall(r"^\| `(khulasa_\w+)`", OPERATIONS, re.MULTILINE))
    assert all(name in listed or series_of(metric) & listed for name, metric in metrics.items()), set(metrics) - listed


def logged() -> Iterator[tuple[str, set[str]]]:
    """Yield the event and the fields of every log line in the code, and of the fields that handlers add to a call's."""
    levels = {"debug", "info", "warning", "error", "exception", "log"}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            fields = {keyword.arg for keyword in node.keywords if keyword.arg and keyword.arg != "exc_info"}
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name == "call_fields":
                yield "call", fields
            elif name in levels and isinstance(node.func, ast.Attribute) and "log" in ast.unparse(node.func.value):
                events = [
                    arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
                ]
                yield from ((event, fields) for event in events)


def test_every_log_line_is_one_that_operators_can_look_up() -> None:
    """One schema: each event has its line in the page, and each field too."""
    found = list(logged())
    assert {event for event, _ in found} >= {"call", "ready", "draining", "internal error"}
    for event, fields in found:
        [line] = [line for line in OPERATIONS.splitlines() if line.startswith(f"| `{event}` |")]
        assert fields <= set(re.findall(r"`(\w+)`", line)), (event, fields)
