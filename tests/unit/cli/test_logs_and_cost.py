"""Which pods `lore logs` reads, and what `lore cost` adds up."""

import json
from typing import Any

import pytest
from unit.cli.objects import deployment, resource, stands, train_job

from lore_operator.cli.kubectl import CannotTell
from lore_operator.cli.pods import Wanted, pods_of
from lore_operator.cli.spending import spending, total
from lore_operator.plan.conditions import State

GANG = {
    "nodes": {"count": 2, "gpusPerNode": 4},
    "stages": [{"name": "traces", "synthesize": {}}, {"name": "sft", "sft": {}}],
}


def labels(kind: str, name: str, **more: str) -> dict[str, str]:
    own = {"app.kubernetes.io/managed-by": "lore-operator", "kind": kind, "name": name, **more}
    return {key if "/" in key else f"lore-platform.io/{key}": value for key, value in own.items()}


def pod(name: str, found: dict[str, str], created: int = 0) -> dict[str, Any]:
    at = f"2026-11-01T00:{created:02d}:00Z"
    return {"kind": "Pod", "metadata": {"name": name, "labels": found, "creationTimestamp": at}}


TRAINED = [
    pod("train-sft-a1-0", labels("RelevanceTrainJob", "train", stage="sft", attempt="1"), 1),
    pod("train-sft-a2-1", labels("RelevanceTrainJob", "train", stage="sft", attempt="2"), 2),
    pod("train-sft-a2-0", labels("RelevanceTrainJob", "train", stage="sft", attempt="2"), 2),
    pod("other-sft-a1-0", labels("RelevanceTrainJob", "other", stage="sft", attempt="1"), 9),
]
SERVED = [
    pod("search-router-x", labels("RelevanceDeployment", "search", role="router")),
    pod("search-head-1-a1-0", labels("RelevanceDeployment", "search", attempt="1")),
    pod("lore-b-1-predictor-x", {"serving.kserve.io/inferenceservice": "lore-b-1"}),
]
TIERS = [
    {"stratum": "tail", "phase": "Ready", "backend": "lore-b-1", "readyReplicas": 2},
    {"stratum": "head", "phase": "Ready"},
]


def search() -> dict[str, Any]:
    return stands(deployment(tail="lore-q"), State.SERVING, "Serving", tiers=TIERS)


def test_the_newest_attempt_is_read_first_rank_first() -> None:
    assert pods_of(train_job(), TRAINED, Wanted()) == ["train-sft-a2-0", "train-sft-a2-1"]


def test_a_stage_without_pods_has_none() -> None:
    assert pods_of(train_job(), TRAINED, Wanted(stage="student")) == []


@pytest.mark.parametrize(
    ("tier", "expected"),
    [("", "search-router-x"), ("head", "search-head-1-a1-0"), ("tail", "lore-b-1-predictor-x")],
)
def test_a_deployment_is_its_router_and_each_tier_its_own_pods(tier: str, expected: str) -> None:
    assert pods_of(search(), SERVED, Wanted(tier=tier)) == [expected]


@pytest.mark.parametrize(
    ("item", "wanted", "words"),
    [
        (resource("RelevanceModel", "m", {}), Wanted(), "train job that published it"),
        (search(), Wanted(tier="torso"), "no tier torso; it has head, tail"),
        (search(), Wanted(stage="sft"), "--stage goes with a RelevanceTrainJob"),
        (train_job(), Wanted(tier="tail"), "--tier goes with a RelevanceDeployment"),
    ],
    ids=["model", "tier", "stage", "wrong kind"],
)
def test_a_part_that_does_not_exist_is_told(item: dict[str, Any], wanted: Wanted, words: str) -> None:
    with pytest.raises(CannotTell, match=words):
        pods_of(item, SERVED, wanted)


def attempt(name: str, found: dict[str, str], minutes: int, spec: dict[str, Any], **summary: Any) -> list[Any]:
    """Both ConfigMaps of an attempt whose pods reported for some minutes."""
    report = {
        "phase": "Failed",
        "startedAt": "2026-11-01T00:00:00Z",
        "lastUpdated": f"2026-11-01T{minutes // 60:02d}:{minutes % 60:02d}:00Z",
        "summary": summary,
    }
    return [
        {"kind": "ConfigMap", "metadata": {"name": name, "labels": found | {"lore-platform.io/role": "config"}},
         "data": {"record.json": json.dumps({"spec": spec})}},
        {"kind": "ConfigMap", "metadata": {"name": f"{name}-report", "labels": found | {"lore-platform.io/role": "report"}},
         "data": {"report.json": json.dumps(report)}},
    ]  # fmt: skip


def records() -> list[Any]:
    sft = labels("RelevanceTrainJob", "train", stage="sft")
    return [
        *attempt("train-sft-a1", sft, 30, GANG),
        *attempt("train-sft-a2", sft, 60, GANG),
        *attempt("train-traces-a1", labels("RelevanceTrainJob", "train", stage="traces"), 60, GANG, tokens=1200),
        *attempt(
            "judge-eval-a1",
            labels("RelevanceEval", "judge"),
            15,
            {"runner": {"resources": {"limits": {"amd.com/gpu": 1}}}},
        ),
    ]


def test_failed_attempts_cost_too_and_a_gang_costs_all_its_gpus() -> None:
    found = {(one.name, one.part): one.plain() for one in spending(records(), [])}

    assert (
        found["train", "sft"] | {"attempts": 2, "pods": 2, "gpus": 8, "podHours": "3.000", "gpuHours": "12.000"}
        == (found["train", "sft"])
    )
    assert found["train", "traces"]["tokens"] == 1200
    assert found["train", "traces"]["gpuHours"] == "0.000"
    assert found["judge", "evaluation"]["gpuHours"] == "0.250"


def test_shards_cost_all_their_pods_and_the_step_that_joins_them_no_gpu() -> None:
    spec = {"shards": 4, "runner": {"resources": {"limits": {"nvidia.com/gpu": "2"}}}}
    steps = {stage: labels("RelevanceEval", "judge", stage=stage) for stage in ("score", "eval")}
    found = spending([one for stage, own in steps.items() for one in attempt(f"judge-{stage}-a1", own, 60, spec)], [])

    assert {one.part: (one.pods, one.plain()["gpuHours"]) for one in found} == {
        "eval": (1, "0.000"),
        "score": (4, "8.000"),
    }


def test_what_serves_has_no_end_and_is_not_in_the_hours() -> None:
    item = search()
    item["spec"]["tiers"][0]["predictor"]["runner"] = {"resources": {"limits": {"nvidia.com/gpu": "4"}}}

    assert total(spending([], [item])) == {
        "podHours": "0.000",
        "gpuHours": "0.000",
        "tokens": 0,
        "servingPods": 2,
        "servingGpus": 8,
    }


def test_an_attempt_whose_pod_never_reported_costs_nothing() -> None:
    *_, report = attempt("train-sft-a1", labels("RelevanceTrainJob", "train", stage="sft"), 1, GANG)
    del report["data"]

    assert spending([report], []) == []
