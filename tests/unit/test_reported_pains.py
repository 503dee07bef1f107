"""Pains that users of neighbouring operators reported, numbered as in their survey: none of them is ours.

Each that applies is tested here, or elsewhere by the test that ELSEWHERE names. Three are of KServe modes that the platform
does not use: 1 (a canary outside Knative), 14 (scaling to zero), 24 (InferenceGraph). 12 (a token that misses what downloads)
cannot be: KServe downloads nothing here. 11 holds here for what starts: each predictor pod fetches its model once and verifies
it; what is tested is that a rollout starts no predictor for a model that serves already.
"""

import copy
import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from unit.api.specs import GOOD
from unit.children.golden import GOLDEN, render, train
from unit.plan.serving_world import build_head, evaluation, model, serve
from unit.plan.serving_world import world as serving_world
from unit.plan.test_evaluation import world as eval_world
from unit.plan.test_trainjob import world as train_world
from unit.plan.world import START, World, statuses

from lore_core.jobs import Phase, Progress, Report
from lore_operator.children.overrides import MAIN
from lore_operator.children.settings import Settings
from lore_operator.engine import resources

ROOT = Path(__file__).resolve().parents[2]
ANNOTATION_BYTES = 262_144
ELSEWHERE = {
    2: ("canary traffic before its backend is ready", "test_weight_does_not_move_before_all_routers_have_the_composition"),
    3: ("what serves is not in Git", "test_a_promotion_goes_through_git_and_back"),
    5: ("ready although the model is not", "test_kserve_saying_ready_is_not_enough"),
    6: ("observedGeneration is wrong", "test_every_condition_is_a_metav1_condition_with_its_own_generation"),
    7: ("Argo CD shows a healthy resource as progressing", "test_argo_shows_the_operators_words"),
    10: ("an edit of what cannot change breaks the sync", "test_an_edit_after_the_start_is_shown_as_drift_and_changes_nothing"),
    11: ("a model that serves is downloaded again", "test_a_backend_that_both_compositions_use_is_the_same_one"),
    12: ("credentials miss what downloads", "test_kserve_fetches_nothing_itself"),
    15: ("an operator upgrade restarts what runs", "test_an_operator_upgrade_changes_nothing_that_runs_and_nothing_that_follows"),
    17: ("Helm does not upgrade definitions", "test_the_chart_carries_the_definitions_of_the_tree"),
    18: ("a child that cannot be created shows nowhere", "test_a_refused_create_is_told_in_a_condition"),
    22: ("status and quota survive a crash wrongly", "test_any_series_of_crashes_and_old_views_ends_the_same"),
    23: ("a verdict is only yes or no", "test_a_state_shows_exactly_these_conditions"),
}  # fmt: skip


@pytest.mark.parametrize("number", ELSEWHERE)
def test_the_pain_is_tested_elsewhere(number: int) -> None:
    _, name = ELSEWHERE[number]
    files = [*ROOT.glob("tests/unit/**/*.py"), *ROOT.glob("tests/c*/*.py")]
    assert any(re.search(rf"def {name}\b", file.read_text(encoding="utf-8")) for file in files)


def children() -> list[dict[str, Any]]:
    return [item for name in GOLDEN for item in yaml.safe_load_all(render(name))]


def jobs() -> list[dict[str, Any]]:
    return [item for item in children() if item["kind"] == "Job"]


def test_4_callers_keep_one_address_whatever_serves() -> None:
    """The address was that of one version: another version, another address."""
    w = serving_world()
    serve(w)
    url, service, revision = (
        w.resource["status"]["url"],
        copy.deepcopy(w.find("Service", "search-router")),
        w.config().stable,
    )
    w.add(model("llm-2", "f"))
    w.add(evaluation("llm-2-eval", "f"))
    w.edit_tier("tail", modelRef={"name": "llm-2"})
    serve(w)

    assert w.config().stable != revision
    assert (w.resource["status"]["url"], w.find("Service", "search-router")) == (url, service)


def test_13_a_slow_start_is_waited_for_and_not_taken_for_a_failure() -> None:
    """The kubelet killed servers that were still loading, and ten minutes after its start a Deployment counted as failed."""
    predictors = [item["spec"]["predictor"] for item in children() if item["kind"] == "InferenceService"]
    ours = [predictor for predictor in predictors if "containers" in predictor]
    assert ours
    for predictor in ours:
        probe = predictor["containers"][0]["startupProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] >= 1800, "until then no other probe is asked"

    w = serving_world()
    for _ in range(3):
        w.settle()
        build_head(w)
    for name in w.backends():
        late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
        made = {"metadata": {"name": f"{name}-predictor"}, "spec": {"replicas": 1}, "status": {"conditions": [late]}}
        w.add({"apiVersion": "apps/v1", "kind": "Deployment", **made})
    assert statuses(w.settle())["Reconciling"] == "True"
    w.kserve_works()
    serve(w)
    assert statuses(w.plan())["reason"] == "Serving"


def test_8_nothing_but_status_of_what_git_owns_can_be_written() -> None:
    """GitOps tools saw objects out of sync because a controller or webhook filled in their spec."""
    for kind in resources.KINDS.values():
        assert set(kind.verbs) <= {"get", "list", "watch", "create"}


def test_9_no_deletion_waits_for_the_operator() -> None:
    """Namespaces and releases hung on finalizers whose controller was gone."""
    assert [item["metadata"]["name"] for item in children() if item["metadata"].get("finalizers")] == []


def test_16_every_definition_fits_the_annotation_of_a_plain_apply() -> None:
    """`kubectl apply` keeps a copy in an annotation and refuses what exceeds it."""
    sizes = {path.name: len(json.dumps(yaml.safe_load(path.read_text()))) for path in (ROOT / "crds").glob("*.yaml")}
    assert len(sizes) == len(GOOD)
    assert max(sizes.values()) < ANNOTATION_BYTES, sizes


def test_19_a_finished_child_is_removed_by_the_operator_and_never_by_its_own_ttl() -> None:
    """A TTL on the child removed it under the controller, which created it again, for ever."""
    assert jobs()
    assert not [job for job in jobs() if "ttlSecondsAfterFinished" in job["spec"]]


def test_20_one_failed_rank_ends_the_whole_gang_at_once() -> None:
    """One rank restarted by itself, the others hung until a timeout of NCCL. Shards of an evaluation are no gang."""
    gangs = [job for job in jobs() if "backoffLimitPerIndex" not in job["spec"]]
    assert len(gangs) > 1
    for job in gangs:
        spec = job["spec"]
        assert (spec["backoffLimit"], spec["podReplacementPolicy"]) == (0, "Failed")
        assert {rule["action"] for rule in spec["podFailurePolicy"]["rules"]} == {"FailJob"}
        assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_21_a_gang_needs_no_ssh_and_no_launcher_and_every_rank_has_the_same_environment() -> None:
    """Launchers ran before sshd did, and the environment did not reach the workers."""
    *_, service, job, _ = train(0)
    pod = job["spec"]["template"]["spec"]
    (main,) = (container for container in pod["containers"] if container["name"] == MAIN)
    variables = {item["name"]: item.get("value", "") for item in main["env"]}
    assert main["command"][:2] == ["lore", "train"]
    assert int(variables["LORE_NODES"]) == job["spec"]["completions"] > 1
    assert variables["LORE_MASTER_ADDR"].endswith(service["metadata"]["name"])


def test_25_everything_that_runs_shows_its_progress_and_there_is_no_offline_switch() -> None:
    """What ran for hours said nothing, and whether it might reach the network hung on the operator's settings and the spec's."""
    running = Report(
        phase=Phase.RUNNING, started_at=START, last_updated=START, progress=Progress(step=3, total_steps=9)
    )
    stories: dict[str, tuple[World, Callable[[dict[str, Any]], Any]]] = {
        "demo-sft-a1": (train_world(), lambda status: status["stages"][0]["progress"]),
        "nightly-eval-a1": (eval_world(), lambda status: status["progress"]),
        "search-head-": (serving_world(), lambda status: status["head"]["progress"]),
    }
    for prefix, (w, shown) in stories.items():
        w.settle()
        (job,) = (name for name in w.names("Job") if name.startswith(prefix))
        w.report(job, running)
        assert shown(w.settle().status)["step"] == 3, prefix
    assert not [field.name for field in fields(Settings) if re.search("online|offline|network", field.name)]
    assert "HF_HUB_OFFLINE=1" in (ROOT / "images/trainer/Dockerfile").read_text(encoding="utf-8")
    assert "HF_HUB_OFFLINE=1" in (ROOT / "images/server/Dockerfile").read_text(encoding="utf-8")
