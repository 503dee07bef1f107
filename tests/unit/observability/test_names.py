"""Alerts, dashboards, runbooks and the metrics page name what the code measures, and nothing else."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from lore_core.router.metrics import RouterMetrics
from lore_operator.engine.keys import Key
from lore_operator.engine.metrics import Metrics
from lore_operator.engine.queue import WorkQueue

ROOT = Path(__file__).parents[3]
FILES = ROOT / "charts/lore/files"
ALERTS = [rule for group in yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
DASHBOARDS = sorted((FILES / "dashboards").glob("*.json"))
# Of vLLM, which predictors run; tests/integration/router/test_vllm.py scrapes them from a real one.
VLLM = {"vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}


def operator_metrics() -> Metrics:
    schedule = WorkQueue().schedule
    metrics = Metrics(schedule)
    metrics.shows(Key("RelevanceModel", "a", "b"), [{"type": "Ready", "status": "True", "reason": "Registered"}])
    return metrics


def families(registry: CollectorRegistry) -> Iterator[tuple[str, str, str]]:
    """(name, type, help) of every metric of a registry."""
    for family in registry.collect():
        yield family.name, family.type, family.documentation


OURS = {name: type_ for name, type_, _ in (*families(operator_metrics().registry), *families(RouterMetrics().registry))}
SAMPLES = {f"{name}{suffix}" for name, type_ in OURS.items() for suffix in SUFFIXES[type_]} | VLLM


def expressions() -> Iterator[tuple[str, str]]:
    yield from ((rule["alert"], rule["expr"]) for rule in ALERTS)
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            yield from ((f"{path.stem}: {panel['title']}", target["expr"]) for target in panel["targets"])


def named(expression: str) -> set[str]:
    """Every metric that an expression names."""
    return set(re.findall(r"\b(?:lore_(?:operator|router)_\w+|vllm:\w+|process_\w+)", expression))


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_every_metric_that_is_named_is_measured(where: str, expression: str) -> None:
    assert named(expression)
    assert named(expression) <= SAMPLES, where


def test_labels_that_expressions_select_by_are_those_of_the_metrics() -> None:
    text = operator_metrics().render().decode()
    (objects,) = (family for family in text_string_to_metric_families(text) if family.name == "lore_operator_objects")

    assert set(objects.samples[0].labels) == {"kind", "condition", "status", "reason"}


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert {rule["alert"] for rule in ALERTS} == {path.stem for path in (ROOT / "docs/runbooks").glob("*.md")}


def test_the_metrics_page_lists_every_metric_of_ours() -> None:
    page = (ROOT / "docs/reference/metrics.md").read_text()
    listed = set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE))

    assert listed == {name for name in OURS if name.startswith("lore_")}
