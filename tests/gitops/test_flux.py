"""From a Git push to callers that are served, by Flux's own controllers: two waves, staging before production.

The operator runs in both namespaces. What pods would say, trainings, verdicts and predictors, the tests say in their place.
"""

from typing import Any

import pytest
from cluster.flux_waves import PRODUCTION_WAVE, STAGING_WAVE, Waves
from cluster.git_repository import PRODUCTION, SEARCH, STAGING, GitRepository
from cluster.operator_process import Api, condition, until
from cluster.train_jobs import MADE, OTHER, appeared, succeed, train_job
from controlplane.test_gitops import roll_out, serving
from controlplane.test_operator_serving import Cluster, deployment, digest, evaluation, lore

from lore_core.cli import EXIT_OK, EXIT_STALLED
from lore_operator.engine.resources import (
    DEPLOYMENTS,
    EVALS,
    INFERENCE_SERVICES,
    MODELS,
    TRAIN_JOBS,
    WORKLOADS,
)

pytestmark = pytest.mark.usefixtures("kserve_kinds", "operator")


def imported(name: str, letter: str) -> dict[str, Any]:
    """A model that was trained elsewhere."""
    return lore("RelevanceModel", name, {"uri": f"pvc://lore/{name}", "digest": digest(letter), "role": "Generative"})


def to_judge(repository: GitRepository, model: str, letter: str) -> None:
    """Staging gets a model and its evaluation."""
    repository.add(STAGING, f"model-{model}.yaml", imported(model, letter))
    repository.add(STAGING, f"judge-{model}.yaml", evaluation(model))
    repository.commit(f"judge {model}")


async def passed_in_staging(waves: Waves, repository: GitRepository, in_staging: Cluster, **models: str) -> None:
    """Models → letter of their digest: each judged, and the wave healthy."""
    for model, letter in models.items():
        to_judge(repository, model, letter)
    await waves.push()
    for model in models:
        await in_staging.end_evaluation(model)
    await waves.healthy(STAGING_WAVE)


async def promoted(waves: Waves, repository: GitRepository, cluster: Cluster, model: str) -> str:
    """Promoted, judged and rolled out in production; the revision that serves then."""
    assert repository.promote(model, evaluation(model))[0] == EXIT_OK
    await waves.push()
    stable = await roll_out(cluster, model)
    await waves.healthy(PRODUCTION_WAVE)
    return stable


async def test_a_training_in_git_ends_in_production_and_a_second_sync_writes_nothing(
    waves: Waves, repository: GitRepository, api: Api, cluster: Cluster, in_staging: Cluster
) -> None:
    repository.add(STAGING, "train.yaml", train_job("weekly"))
    repository.add(STAGING, "judge-weekly-llm.yaml", evaluation("weekly-llm"))
    repository.commit("train and judge")
    await waves.push()
    await appeared(in_staging.api, "weekly-sft-a1")
    assert condition(await waves.look(STAGING_WAVE), "Ready")["status"] == "Unknown", "a training is no failure"
    await waves.held(PRODUCTION_WAVE)
    assert await api.names(DEPLOYMENTS) == []

    for stage, made in (("sft", MADE), ("student", OTHER)):
        await appeared(in_staging.api, f"weekly-{stage}-a1")
        await succeed(in_staging.api, f"weekly-{stage}-a1", made)
    await in_staging.end_evaluation("weekly-llm")
    await waves.healthy(STAGING_WAVE)

    status, said = repository.promote("weekly-student")
    assert (status, "refused" in said, repository.git("status", "--porcelain")) == (EXIT_STALLED, True, "")
    await promoted(waves, repository, cluster, "weekly-llm")
    served = repository.read(f"{PRODUCTION}/promoted/model-weekly-llm.yaml")["spec"]
    assert (served["digest"], (await api.get(MODELS, "weekly-llm"))["spec"]["digest"]) == (MADE, MADE)

    versions = await api.versions(), await in_staging.api.versions()
    for wave in (STAGING_WAVE, PRODUCTION_WAVE):
        await waves.healthy(wave)
    assert (await api.versions(), await in_staging.api.versions()) == versions
    assert repository.drift(PRODUCTION, api.namespace) == repository.drift(STAGING, in_staging.api.namespace) == ""


async def test_a_failed_verdict_in_staging_holds_production_back_until_it_is_reverted(
    waves: Waves, repository: GitRepository, api: Api, cluster: Cluster, in_staging: Cluster
) -> None:
    await passed_in_staging(waves, repository, in_staging, first="a")
    await promoted(waves, repository, cluster, "first")
    before, applied = await api.versions(), (await waves.look(PRODUCTION_WAVE))["status"]["lastAppliedRevision"]

    repository.write("base/search.yaml", SEARCH | {"spec": SEARCH["spec"] | {"router": {"replicas": 2}}})
    to_judge(repository, "worse", "c")
    await waves.push()
    await in_staging.end_evaluation("worse", "Failed")

    assert "worse-eval status: 'Failed'" in await waves.failed(STAGING_WAVE)
    held = await waves.held(PRODUCTION_WAVE)
    assert (held["lastAppliedRevision"], await api.versions()) == (applied, before)
    status, said = repository.promote("worse")
    assert (status, "worse-eval: its verdict is Failed" in said) == (EXIT_STALLED, True)

    repository.git("revert", "--no-edit", "HEAD")
    await waves.push()
    await waves.healthy(STAGING_WAVE)
    await waves.healthy(PRODUCTION_WAVE)
    assert await in_staging.api.names(EVALS) == ["first-eval"]
    assert await api.versions() == before


async def test_a_gate_that_refuses_in_production_fails_its_wave_and_a_revert_rolls_back(
    waves: Waves, repository: GitRepository, api: Api, cluster: Cluster, in_staging: Cluster
) -> None:
    await passed_in_staging(waves, repository, in_staging, first="a", better="b", best="d")
    first = await promoted(waves, repository, cluster, "first")

    assert repository.promote("better", evaluation("better"))[0] == EXIT_OK
    await waves.push()
    await cluster.end_evaluation("better", "Failed")
    stopped = await until(
        lambda: deployment(api), lambda seen: "floor" in condition(seen, "Stalled").get("message", "")
    )
    assert (condition(stopped, "Stalled")["reason"], stopped["status"]["stable"]) == ("GateBlocked", first)
    assert "search status: 'Failed'" in await waves.failed(PRODUCTION_WAVE)
    repository.git("revert", "--no-edit", "HEAD")
    await waves.push()
    assert await serving(api, lambda stable: stable == first)
    await waves.healthy(PRODUCTION_WAVE)

    assert await promoted(waves, repository, cluster, "best") != first
    await until(lambda: api.names(WORKLOADS), lambda found: len(found) == 2)  # the first predictor is gone, whole
    repository.git("revert", "--no-edit", "HEAD")
    await waves.push()
    await until(lambda: api.names(INFERENCE_SERVICES), lambda found: len(found) == 2)
    await cluster.bring_up_predictors()
    assert await serving(api, lambda stable: stable == first)
    await waves.healthy(PRODUCTION_WAVE)
    assert await api.names(EVALS) == ["first-eval"]


async def test_a_revert_does_not_wait_for_a_rollout_that_hangs(
    waves: Waves, repository: GitRepository, api: Api, cluster: Cluster, in_staging: Cluster
) -> None:
    await passed_in_staging(waves, repository, in_staging, first="a", better="b")
    first = await promoted(waves, repository, cluster, "first")

    assert repository.promote("better", evaluation("better"))[0] == EXIT_OK
    await waves.push()
    await cluster.end_evaluation("better")
    await until(lambda: api.names(INFERENCE_SERVICES), lambda found: len(found) == 2)
    repository.git("revert", "--no-edit", "HEAD")
    await waves.push()

    await waves.healthy(PRODUCTION_WAVE)
    assert (await deployment(api))["status"]["stable"] == first


async def test_pruning_takes_what_git_dropped_and_leaves_what_the_operator_published(
    waves: Waves, repository: GitRepository, in_staging: Cluster
) -> None:
    repository.add(STAGING, "train.yaml", train_job("weekly"))
    repository.add(STAGING, "model-first.yaml", imported("first", "a"))
    repository.commit("train")
    await waves.push()
    await appeared(in_staging.api, "weekly-sft-a1")
    await succeed(in_staging.api, "weekly-sft-a1")
    await until(lambda: in_staging.api.names(MODELS), lambda found: "weekly-llm" in found)

    repository.drop(STAGING, "train.yaml")
    repository.commit("no training any more")
    await waves.push()

    await until(lambda: in_staging.api.names(TRAIN_JOBS), lambda found: found == [])
    await waves.healthy(STAGING_WAVE)
    assert await in_staging.api.names(MODELS) == ["first", "weekly-llm"]
