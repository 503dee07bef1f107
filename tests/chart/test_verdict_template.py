"""The AnalysisTemplate that waits for a verdict: its own kind accepts it, and its query tells the three answers apart."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.fixtures import REPOSITORY

from hack.cluster import tools
from hack.cluster.kubectl import Kubectl

FILE = REPOSITORY / "deploy/argo-rollouts/verdict.yaml"


def metric() -> dict[str, Any]:
    (found,) = yaml.safe_load(FILE.read_text())["spec"]["metrics"]
    return found


def test_argo_rollouts_own_definition_accepts_it(kubectl: Kubectl) -> None:
    kubectl.apply_definitions([tools.manifests("argo-rollouts") / "analysis-template-crd.yaml"])

    said = kubectl("create", "--dry-run=server", "--validate=strict", f"--filename={FILE}", "--namespace=default")

    assert "analysistemplate.argoproj.io/lore-verdict created" in said


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
