"""Pains that users of neighbouring operators reported, numbered as in their survey: none of them is ours.

Each that applies is tested here, or elsewhere by the test that ELSEWHERE names.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from unit.api.specs import GOOD
from unit.children.golden import GOLDEN, render, train

from lore_operator.children.overrides import MAIN
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
    15: ("an operator upgrade restarts what runs", "test_an_operator_upgrade_changes_nothing_that_runs_and_nothing_that_follows"),
    17: ("Helm does not upgrade definitions", "test_the_chart_carries_the_definitions_of_the_tree"),
    18: ("a child that cannot be created shows nowhere", "test_a_refused_create_is_told_in_a_condition"),
    22: ("status and quota survive a crash wrongly", "test_any_series_of_crashes_and_old_views_ends_the_same"),
    23: ("a verdict is only yes or no", "test_a_state_shows_exactly_these_conditions"),
}  # fmt: skip
"""1, 12, 14 and 24 are of KServe modes that the platform does not use; 4, 11, 13 and 25 have no test of their own yet."""


@pytest.mark.parametrize("number", ELSEWHERE)
def test_the_pain_is_tested_elsewhere(number: int) -> None:
    _, name = ELSEWHERE[number]
    files = [*ROOT.glob("tests/unit/**/*.py"), *ROOT.glob("tests/c*/*.py")]
    assert any(re.search(rf"def {name}\b", file.read_text(encoding="utf-8")) for file in files)


def children() -> list[dict[str, Any]]:
    return [item for name in GOLDEN for item in yaml.safe_load_all(render(name))]


def jobs() -> list[dict[str, Any]]:
    return [item for item in children() if item["kind"] == "Job"]


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
    *_, service, job = train(0)
    pod = job["spec"]["template"]["spec"]
    (main,) = (container for container in pod["containers"] if container["name"] == MAIN)
    variables = {item["name"]: item.get("value", "") for item in main["env"]}
    assert main["command"][:2] == ["lore", "train"]
    assert int(variables["LORE_NODES"]) == job["spec"]["completions"] > 1
    assert variables["LORE_MASTER_ADDR"].endswith(service["metadata"]["name"])
