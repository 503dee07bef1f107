"""rollout.surge PerTier on a real control plane: a model takes the place of another in a cluster without room for both."""

from typing import Any

import pytest
from cluster.operator_process import Api, OperatorProcess, condition, until
from controlplane.test_operator_serving import BETTER, MODEL, SERVING, Cluster, cluster, deployment, digest, lore, ready

from lore_core.router.config import RouterConfig
from lore_operator.engine.resources import DEPLOYMENTS, INFERENCE_SERVICES, WORKLOADS

__all__ = ["cluster"]

pytestmark = pytest.mark.usefixtures("kserve_kinds", "entrance_kinds")

SMALL = lore("RelevanceModel", "small", {"uri": "pvc://lore/small", "digest": digest("c"), "role": "Generative"})


def tiers(tail: str) -> list[dict[str, Any]]:
    return [
        {"stratum": "torso", "predictor": {"modelRef": {"name": "small"}}, "fallback": ["tail"]},
        {"stratum": "tail", "predictor": {"modelRef": {"name": tail}}, "fallback": ["torso"]},
    ]


async def predictors(api: Api) -> dict[str, str]:
    """Model → predictor that exists."""
    found = {}
    for item in await api.items(INFERENCE_SERVICES):
        words = item["spec"]["predictor"]["initContainers"][0]["command"]
        uri = words[words.index("--uri") + 1]
        found[uri.rpartition("/")[2]] = item["metadata"]["name"]
    return found


def asked(config: RouterConfig | None) -> dict[str, bool]:
    """Predictor → whether the composition that serves has it asked."""
    present = config.stable_composition().tiers.present().values() if config else ()
    return {tier.predictor.model_name: not tier.predictor.rests for tier in present if tier.predictor}


async def replaced(api: Api, cluster: Cluster) -> tuple[dict[str, str], dict[str, str]]:
    """A better model for the tail, up to where it starts; predictors before, and now."""
    for model in (MODEL, SMALL, BETTER):
        await api.create(model)
        await cluster.judge(model["metadata"]["name"])
    await api.create({**SERVING, "spec": {**SERVING["spec"], "tiers": tiers("llm"), "rollout": {"surge": "PerTier"}}})
    await until(lambda: predictors(api), lambda found: set(found) == {"llm", "small"})
    await cluster.bring_up_predictors()
    await cluster.router_appears()
    await ready(api)
    before = await predictors(api)

    await api.patch(DEPLOYMENTS, "search", {"spec": {"tiers": tiers("better")}})

    now = await until(lambda: predictors(api), lambda found: "better" in found)
    assert set(now) == {"better", "small"}, "the old one is gone before the new one is made"
    assert asked(await cluster.config()) == {before["llm"]: False, before["small"]: True}
    # What KServe made for it goes by garbage collection, and would be found again under its name.
    await until(lambda: api.names(WORKLOADS), lambda names: f"{before['llm']}-predictor" not in names)
    return before, now


async def test_the_old_predictor_goes_before_the_new_one_comes_and_its_fallback_answers_meanwhile(
    api: Api, operator: OperatorProcess, cluster: Cluster
) -> None:
    before, now = await replaced(api, cluster)
    resting = await until(lambda: deployment(api), lambda found: bool(condition(found, "TierResting")))
    assert condition(resting, "Available")["status"] == "True"

    await cluster.bring_up_predictors()

    wanted = {now["better"]: True, before["small"]: True}
    await until(cluster.config, lambda config: asked(config) == wanted)
    assert not condition(await ready(api), "TierResting")
    assert await predictors(api) == now


async def test_where_the_new_one_does_not_load_the_old_one_comes_back(
    api: Api, operator: OperatorProcess, cluster: Cluster
) -> None:
    before, now = await replaced(api, cluster)
    gave_up = {"modelStatus": {"transitionStatus": "BlockedByFailedLoad"}}
    await api.patch(INFERENCE_SERVICES, now["better"], {"status": gave_up}, "status")

    await until(lambda: predictors(api), lambda found: found == before)
    assert asked(await cluster.config())[before["llm"]] is False
    await cluster.bring_up_predictors()

    await until(cluster.config, lambda config: asked(config) == {before["llm"]: True, before["small"]: True})
    told = await until(lambda: deployment(api), lambda found: condition(found, "Ready").get("reason") == "RolledBack")
    assert "PredictorFailed" in condition(told, "Ready")["message"]
