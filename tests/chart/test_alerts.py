"""The alerts, judged by promtool."""

import json
import subprocess
from pathlib import Path

import yaml
from cluster.fixtures import REPOSITORY

from hack.cluster import tools

FILES = REPOSITORY / "charts/lore/files"


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tools.require("promtool"), *arguments], capture_output=True, text=True, check=False)


def test_prometheus_reads_every_rule():
    done = promtool("check", "rules", FILES / "alerts.yaml")

    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_should_and_only_then(tmp_path):
    cases = (REPOSITORY / "tests/chart/alerts-test.yaml").read_text().replace("ALERTS", str(FILES / "alerts.yaml"))
    (tmp_path / "cases.yaml").write_text(cases)
    done = promtool("test", "rules", tmp_path / "cases.yaml")

    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_reads_every_expression_of_a_dashboard(tmp_path):
    rules = [
        {"record": "panel", "expr": target["expr"].replace('"$namespace"', '".*"').replace('"$deployment"', '".*"')}
        for path in sorted((FILES / "dashboards").glob("*.json"))
        for panel in json.loads(path.read_text())["panels"]
        for target in panel["targets"]
    ]
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = promtool("check", "rules", "--lint=none", tmp_path / "panels.yaml")

    assert done.returncode == 0, done.stdout + done.stderr
