"""A train job on a control plane, where nobody runs its pods: what a person, a pod and the Job controller would do."""

import json
from datetime import UTC, datetime
from typing import Any

from cluster.operator_process import Api, until

from lore_operator.children.jobset import member_name
from lore_operator.engine.resources import CONFIG_MAPS, JOBS

DIGEST = "sha256:" + "a" * 64
MADE = "sha256:" + "b" * 64
OTHER = "sha256:" + "c" * 64


def train_job(name: str = "demo", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "lore-platform.io/v1alpha1",
        "kind": "RelevanceTrainJob",
        "metadata": {"name": name},
        "spec": {
            "baseModel": {"uri": "pvc://artifacts/base", "digest": DIGEST},
            "data": {"uri": "pvc://artifacts/pairs", "digest": DIGEST},
            "ruleSet": {"uri": "pvc://artifacts/rules", "digest": DIGEST},
            "workspace": {"uri": "pvc://workspace/runs"},
            "stages": [
                {"name": "sft", "sft": {}, "publish": {"as": f"{name}-llm"}},
                {
                    "name": "student",
                    "distill": {"base": {"uri": "pvc://artifacts/minilm", "digest": DIGEST}, "from": "sft"},
                    "publish": {"as": f"{name}-student"},
                },
            ],
            **spec,
        },
    }


async def jobs(api: Api) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in await api.items(JOBS)}


async def appeared(api: Api, name: str) -> dict[str, Any]:
    """A Job, once its report is there too, which is made after it."""
    found = await until(lambda: jobs(api), lambda seen: name in seen)
    await report_made(api, name.removesuffix(member_name("")))
    return found[name]


async def report_made(api: Api, job: str) -> None:
    """Until the report of a Job is there; a pod that has something to tell waits for it likewise."""
    await until(lambda: api.names(CONFIG_MAPS), lambda found: f"{job}-report" in found)


async def succeed(api: Api, job: str, digest: str = MADE) -> None:
    """What the pod reports at its end, and what the Job controller then says."""
    config = json.loads((await api.get(CONFIG_MAPS, job))["data"]["config.json"])
    workspace = config["workspace"]["uri"]
    report = {
        "phase": "Succeeded",
        "startedAt": "2026-11-01T00:00:00Z",
        "lastUpdated": "2026-11-01T00:01:00Z",
        "result": {"uri": f"{workspace}/made", "digest": digest},
        "summary": {"loss": "0.25"},
    }
    await report_success(api, job, json.dumps(report))


async def report_success(api: Api, job: str, report: str) -> None:
    """A report as its pod wrote it, and what the Job controller says once the pod has ended."""
    await report_made(api, job)
    await api.patch(CONFIG_MAPS, f"{job}-report", {"data": {"report.json": report}})
    await finish_job(api, job)


async def finish_job(api: Api, job: str) -> None:
    """What the Job controller says once the pod has ended well."""
    # Once its pod exists the Job controller is at rest: nobody writes this status beside the test.
    await until(lambda: api.get(JOBS, job), lambda found: found.get("status", {}).get("active") == 1)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    met = [
        {"type": kind, "status": "True", "lastTransitionTime": now, "lastProbeTime": now, "reason": "Completions"}
        for kind in ("SuccessCriteriaMet", "Complete")
    ]
    done = {"completionTime": now, "succeeded": 1, "active": 0, "ready": 0, "terminating": 0}
    await api.patch(JOBS, job, {"status": {**done, "conditions": met, "uncountedTerminatedPods": {}}}, "status")
