"""AnalysisTemplates that wait for a verdict: their own kind accepts them, and the query tells its three answers apart."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.fixtures import REPOSITORY

from hack.cluster import tools
from hack.cluster.kubectl import Kubectl

FILE = REPOSITORY / "deploy/argo-rollouts/verdict.yaml"
PAGE = REPOSITORY / "docs/how-to/gate-elsewhere.md"


def metric() -> dict[str, Any]:
    (found,) = yaml.safe_load(FILE.read_text())["spec"]["metrics"]
    return found


def from_the_page() -> dict[str, Any]:
    """The template that docs/how-to/gate-elsewhere.md shows."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (found,) = (item for item in map(yaml.safe_load, blocks) if item["kind"] == "AnalysisTemplate")
    return found


def test_argo_rollouts_own_definition_accepts_both(kubectl: Kubectl) -> None:
    kubectl.apply_definitions([tools.manifests("argo-rollouts") / "analysis-template-crd.yaml"])

    for item in (yaml.safe_load(FILE.read_text()), from_the_page()):
        text = json.dumps({**item, "metadata": {**item["metadata"], "namespace": "default"}})
        said = kubectl("create", "--dry-run=server", "--validate=strict", "--filename=-", stdin=text)
        assert f"analysistemplate.argoproj.io/{item['metadata']['name']} created" in said


@pytest.mark.parametrize(
    ("verdict", "answer"),
    [("Passed", [1]), ("Overridden", [1]), ("Failed", [0]), ("Inconclusive", [0]), (None, [])],
)
def test_its_query_is_1_for_a_pass_0_for_a_refusal_and_nothing_while_it_runs(
    tmp_path: Path, verdict: str | None, answer: list[int]
) -> None:
    query = metric()["provider"]["prometheus"]["query"]
    for name, value in (("namespace", "shop"), ("evaluation", "lore-q")):
        query = query.replace(f"{{{{args.{name}}}}}", value)
    assert "{{" not in query
    series = [{"series": f'lore_operator_eval_verdict{{namespace="shop",name="{name}",verdict="{told}"}}', "values": "1x5"}
              for name, told in (("lore-q", verdict), ("other", "Passed")) if told]  # fmt: skip
    expected = [{"labels": "{}", "value": value} for value in answer]
    case = {"interval": "1m", "input_series": series, "promql_expr_test": [
        {"expr": query, "eval_time": "5m", "exp_samples": expected}]}  # fmt: skip
    file = tmp_path / "case.yaml"
    file.write_text(json.dumps({"rule_files": [], "tests": [case]}))

    done = subprocess.run(
        [tools.require("promtool"), "test", "rules", file], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
