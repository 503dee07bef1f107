"""A train job whose pods JobSet's real controller runs, without a queue: from the first JobSet to the published model."""

import json
from datetime import UTC, datetime
from typing import Any

from cluster.operator_process import Api, OperatorProcess, condition, until
from cluster.train_jobs import MADE, OTHER, appeared, jobs, train_job

from lore_operator.engine.resources import CONFIG_MAPS, JOB_SETS, JOBS, MODELS, SERVICES, TRAIN_JOBS


async def end(api: Api, attempt: str, kind: str, **status: Any) -> None:
    """What the Job controller says of the Job within once its pods have ended."""
    name = f"{attempt}-n-0"
    await until(lambda: api.get(JOBS, name), lambda found: found.get("status", {}).get("active") == 1)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    before = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}[kind]
    said = {"status": "True", "lastTransitionTime": now, "lastProbeTime": now, "reason": "PodFailurePolicy"}
    conditions = [{"type": one, **said} for one in (before, kind)]
    done = {"active": 0, "ready": 0, "terminating": 0, "uncountedTerminatedPods": {}, "conditions": conditions}
    if kind == "Complete":
        done |= {"completionTime": now, "succeeded": 1}
    await api.patch(JOBS, name, {"status": {**done, **status}}, "status")


async def succeed(api: Api, attempt: str, digest: str) -> None:
    """The pod's report, and the end of its Job."""
    config = json.loads((await api.get(CONFIG_MAPS, attempt))["data"]["config.json"])
    report = {
        "phase": "Succeeded",
        "startedAt": "2026-11-01T00:00:00Z",
        "lastUpdated": "2026-11-01T00:01:00Z",
        "result": {"uri": f"{config['workspace']['uri']}/made", "digest": digest},
        "summary": {},
    }
    await api.patch(CONFIG_MAPS, f"{attempt}-report", {"data": {"report.json": json.dumps(report)}})
    await end(api, attempt, "Complete")


async def test_stages_run_in_jobsets_to_the_published_model(api: Api, operator: OperatorProcess) -> None:
    await api.create(train_job(workload="JobSet"))
    for stage, digest in (("sft", MADE), ("student", OTHER)):
        await appeared(api, f"demo-{stage}-a1-n-0")
        await succeed(api, f"demo-{stage}-a1", digest)

    async def look() -> dict[str, Any]:
        return await api.get(TRAIN_JOBS, "demo")

    await until(look, lambda found: condition(found, "Complete").get("status") == "True")
    assert await api.names(MODELS) == ["demo-llm", "demo-student"]
    assert "demo-sft-a1" in await api.names(SERVICES), "JobSet's own, by which the pods find each other"


async def test_a_job_that_fails_within_is_tried_again_in_a_jobset_of_its_own(
    api: Api, operator: OperatorProcess
) -> None:
    await api.create(train_job(workload="JobSet"))
    await appeared(api, "demo-sft-a1-n-0")
    await end(api, "demo-sft-a1", "Failed", failed=1)

    await appeared(api, "demo-sft-a2-n-0")

    found = (await api.get(JOB_SETS, "demo-sft-a1"))["status"]["conditions"]
    assert [item["status"] for item in found if item["type"] == "Failed"] == ["True"]


async def test_suspending_removes_the_jobset_with_what_it_made_and_going_on_brings_it_back(
    api: Api, operator: OperatorProcess
) -> None:
    await api.create(train_job(workload="JobSet"))
    before = await appeared(api, "demo-sft-a1-n-0")

    await api.patch(TRAIN_JOBS, "demo", {"spec": {"suspend": True}})
    for kind in (JOBS, JOB_SETS):  # the Jobs go first, with foreground deletion
        await until(lambda kind=kind: api.names(kind), lambda found: found == [])

    await api.patch(TRAIN_JOBS, "demo", {"spec": {"suspend": False}})
    after = await appeared(api, "demo-sft-a1-n-0")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert list(await jobs(api)) == ["demo-sft-a1-n-0"]
