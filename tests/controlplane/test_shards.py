"""A sharded evaluation under the real Job controller. The tests play the kubelet: there are no nodes here."""

from typing import Any

from cluster.operator_process import Api, OperatorProcess, condition, until

from lore_operator.engine.resources import EVALS, JOBS, PODS

DIGEST = "sha256:" + "a" * 64
SCORING, JUDGING = "nightly-score-a1", "nightly-eval-a1"


def lore(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "lore-platform.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


async def begun(api: Api) -> None:
    """Two shards are to be scored, without another attempt."""
    await api.create(lore("RelevanceModel", "llm", {"uri": "pvc://lore/llm", "digest": DIGEST, "role": "Generative"}))
    spec = {
        "modelRef": {"name": "llm"},
        "benchmark": {"uri": "pvc://lore/benchmark", "digest": DIGEST, "ruleMode": "None"},
        "workspace": {"uri": "pvc://lore/runs"},
        "gates": [{"name": "floor", "metric": "MacroF1", "min": "0.5"}],
        "shards": 2,
        "runPolicy": {"maxRestarts": 0},
    }
    await api.create(lore("RelevanceEval", "nightly", spec))


async def end_pod(api: Api, shard: int, phase: str) -> None:
    """The pod of a shard that runs now ends."""
    selector = f"batch.kubernetes.io/job-name={SCORING},batch.kubernetes.io/job-completion-index={shard}"

    async def running() -> list[str]:
        found = (await api.client.list_all(PODS, api.namespace, selector)).items
        return [pod["metadata"]["name"] for pod in found if pod["status"]["phase"] == "Pending"]

    (pod,) = await until(running, bool)
    await api.patch(PODS, pod, {"status": {"phase": phase}}, "status")


async def evaluation(api: Api) -> dict[str, Any]:
    return await api.get(EVALS, "nightly")


async def test_a_shard_that_fails_twice_is_named_and_leaves_no_verdict(api: Api, operator: OperatorProcess) -> None:
    await begun(api)
    await end_pod(api, 0, "Succeeded")
    await until(
        lambda: evaluation(api),
        lambda seen: seen["status"].get("shards") == {"total": 2, "scored": 1, "failed": 0},
    )

    for _ in range(2):
        await end_pod(api, 1, "Failed")

    seen = await until(lambda: evaluation(api), lambda found: condition(found, "Stalled").get("status") == "True")
    assert seen["status"]["shards"] == {"total": 2, "scored": 1, "failed": 1, "failedIndexes": "1"}
    assert "1 of 2 shards failed" in condition(seen, "Ready")["message"]
    assert "verdict" not in seen["status"]
    assert await api.names(JOBS) == [SCORING]


async def test_once_every_shard_is_scored_one_pod_judges_them(api: Api, operator: OperatorProcess) -> None:
    await begun(api)
    for shard in range(2):
        await end_pod(api, shard, "Succeeded")

    found = await until(lambda: api.names(JOBS), lambda names: JUDGING in names)
    judging = (await api.get(JOBS, JUDGING))["spec"]

    assert found == [JUDGING, SCORING]
    assert judging["template"]["spec"]["containers"][0]["command"][-1] == "--reduce"
    scored = {"total": 2, "scored": 2, "failed": 0}  # a Job comes before the status that tells of it
    await until(lambda: evaluation(api), lambda found: found["status"]["shards"] == scored)
