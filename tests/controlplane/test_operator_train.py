"""A train job on a real control plane. There is no kubelet: the tests do what pods and the Job controller would do."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster.manifests import stand_in
from cluster.operator_process import Api, OperatorProcess, condition, until
from cluster.train_jobs import MADE, OTHER, appeared, jobs, succeed, train_job

from hack.cluster.kubectl import Kubectl
from lore_operator.engine.resources import CONFIG_MAPS, EVENTS, JOB_SETS, JOBS, MODELS, TRAIN_JOBS


async def status_of(api: Api, name: str = "demo") -> dict[str, Any]:
    return await api.get(TRAIN_JOBS, name)


async def finished(api: Api, name: str = "demo") -> dict[str, Any]:
    return await until(lambda: status_of(api, name), lambda found: condition(found, "Complete").get("status") == "True")


async def run_to_the_end(api: Api) -> dict[str, Any]:
    for stage, digest in (("sft", MADE), ("student", OTHER)):
        await appeared(api, f"demo-{stage}-a1")
        await succeed(api, f"demo-{stage}-a1", digest)
    return await finished(api)


async def reconciled(api: Api, token: str, name: str = "demo") -> dict[str, Any]:
    """Ask for a pass, as Flux does, and wait for it."""
    await api.patch(TRAIN_JOBS, name, {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": token}}})
    return await until(
        lambda: status_of(api, name), lambda found: found.get("status", {}).get("lastHandledReconcileAt") == token
    )


async def test_a_train_job_becomes_a_job_with_its_config_and_report(api: Api, operator: OperatorProcess) -> None:
    await api.create(train_job())

    await appeared(api, "demo-sft-a1")

    assert {"demo-sft-a1", "demo-sft-a1-report"} <= set(await api.names(CONFIG_MAPS))


async def test_finished_stages_are_published_and_the_job_is_complete(api: Api, operator: OperatorProcess) -> None:
    await api.create(train_job())

    await run_to_the_end(api)

    models = {item["metadata"]["name"]: item["spec"]["digest"] for item in await api.items(MODELS)}
    assert models == {"demo-llm": MADE, "demo-student": OTHER}


async def test_the_next_stage_gets_the_model_of_the_one_before(api: Api, operator: OperatorProcess) -> None:
    await api.create(train_job())
    await appeared(api, "demo-sft-a1")

    await succeed(api, "demo-sft-a1")

    await appeared(api, "demo-student-a1")
    config = json.loads((await api.get(CONFIG_MAPS, "demo-student-a1"))["data"]["config.json"])
    assert config["spec"]["teacher"]["digest"] == MADE


async def test_a_killed_operator_goes_on_with_the_same_job(api: Api, operator: OperatorProcess) -> None:
    await api.create(train_job())
    before = await appeared(api, "demo-sft-a1")
    operator.kill()
    await succeed(api, "demo-sft-a1")
    operator.start()

    await appeared(api, "demo-student-a1")

    after = await jobs(api)
    assert sorted(after) == ["demo-sft-a1", "demo-student-a1"]
    assert after["demo-sft-a1"]["metadata"]["uid"] == before["metadata"]["uid"]


async def test_an_operator_killed_between_two_creates_finishes_what_it_began(
    api: Api, operator: OperatorProcess
) -> None:
    await api.create(train_job())
    await until(lambda: api.names(CONFIG_MAPS), lambda found: "demo-sft-a1" in found)
    operator.kill()
    seen = {item["metadata"]["uid"] for item in await api.items(CONFIG_MAPS)}
    operator.start()

    await run_to_the_end(api)

    assert seen <= {item["metadata"]["uid"] for item in await api.items(CONFIG_MAPS)}


async def test_a_status_that_is_wiped_is_rebuilt_and_nothing_else_moves(api: Api, operator: OperatorProcess) -> None:
    await api.create(train_job())
    before = await run_to_the_end(api)
    await reconciled(api, "first")
    versions = await api.versions()

    await api.patch(TRAIN_JOBS, "demo", {"status": None}, "status")
    after = await finished(api)

    meaning = [{k: v for k, v in found["status"].items() if k != "conditions"} for found in (before, after)]
    moved = {name for name, version in (await api.versions()).items() if versions.get(name) != version}
    assert moved == {"RelevanceTrainJob/demo"}
    assert meaning[0] | {"lastHandledReconcileAt": "first"} == meaning[1]


async def test_a_pass_over_what_is_as_it_should_be_writes_nothing(api: Api, operator: OperatorProcess) -> None:
    await api.create(train_job())
    await appeared(api, "demo-sft-a1")
    await reconciled(api, "first")
    versions = await api.versions()

    await reconciled(api, "second")

    moved = {name for name, version in (await api.versions()).items() if versions.get(name) != version}
    assert moved == {"RelevanceTrainJob/demo"}


async def test_a_strangers_object_under_a_childs_name_is_a_name_conflict(api: Api, operator: OperatorProcess) -> None:
    mine = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "demo-sft-a1"}, "data": {"theirs": "yes"}}
    stranger = await api.create(mine)

    await api.create(train_job())

    found = await until(lambda: status_of(api), lambda seen: condition(seen, "Stalled").get("status") == "True")
    assert condition(found, "Stalled")["reason"] == "NameConflict"
    assert await api.get(CONFIG_MAPS, "demo-sft-a1") == stranger


async def test_work_goes_on_once_the_stranger_is_gone(api: Api, operator: OperatorProcess) -> None:
    mine = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "demo-sft-a1"}}
    stranger = await api.create(mine)
    await api.create(train_job())
    await until(lambda: status_of(api), lambda seen: condition(seen, "Stalled").get("status") == "True")

    await api.client.delete(CONFIG_MAPS, api.namespace, "demo-sft-a1", uid=stranger["metadata"]["uid"])
    await reconciled(api, "again")

    await appeared(api, "demo-sft-a1")


async def test_a_job_deleted_by_hand_comes_back(api: Api, operator: OperatorProcess) -> None:
    await api.create(train_job())
    first = await appeared(api, "demo-sft-a1")

    await api.client.delete(JOBS, api.namespace, "demo-sft-a1", uid=first["metadata"]["uid"])

    again = await until(
        lambda: jobs(api),
        lambda found: "demo-sft-a1" in found and found["demo-sft-a1"]["metadata"]["uid"] != first["metadata"]["uid"],
    )
    assert list(again) == ["demo-sft-a1"]


async def test_a_refused_create_is_told_in_a_condition(api: Api, operator: OperatorProcess, kubectl: Kubectl) -> None:
    kubectl("create", "quota", "none", "--hard=count/jobs.batch=0", "-n", api.namespace)

    await api.create(train_job())

    found = await until(
        lambda: status_of(api), lambda seen: "quota" in condition(seen, "Reconciling").get("message", "")
    )
    assert condition(found, "Reconciling")["reason"] == "ApiForbidden"


async def test_a_refused_create_is_tried_again(api: Api, operator: OperatorProcess, kubectl: Kubectl) -> None:
    kubectl("create", "quota", "none", "--hard=count/jobs.batch=0", "-n", api.namespace)
    await api.create(train_job())
    await until(lambda: status_of(api), lambda seen: "quota" in condition(seen, "Reconciling").get("message", ""))

    kubectl("delete", "quota", "none", "-n", api.namespace)

    await appeared(api, "demo-sft-a1")


async def test_an_operator_that_is_asked_to_end_ends_well(api: Api, operator: OperatorProcess) -> None:
    await api.create(train_job())
    await appeared(api, "demo-sft-a1")

    assert operator.stop() == 0


async def test_every_log_line_is_json_and_names_its_object(api: Api, operator: OperatorProcess) -> None:
    await api.create(train_job())
    await appeared(api, "demo-sft-a1")

    operator.stop()  # the pass in flight ends first: the API shows a Job before the line about it is written

    about = [line for line in operator.lines() if "created Job" in line["message"]]
    assert [line["object"] for line in about] == [f"RelevanceTrainJob/{api.namespace}/demo"]


async def test_a_transition_is_one_event(api: Api, operator: OperatorProcess) -> None:
    await api.create(train_job())
    await run_to_the_end(api)
    await reconciled(api, "again")

    found = [event["reason"] for event in await api.items(EVENTS) if event["regarding"]["name"] == "demo"]
    assert found.count("Complete") == 1


@pytest.fixture
def jobset_kind(kubectl: Kubectl, tmp_path: Path) -> Iterator[None]:
    """JobSet's kind is served; its controller runs in tests/controllers."""
    file = tmp_path / "jobset.json"
    file.write_text(json.dumps(stand_in("jobset.x-k8s.io", "v1alpha2", "JobSet")))
    kubectl.apply_definitions([file])
    yield
    kubectl("delete", "crd", "jobsets.jobset.x-k8s.io", "--timeout=60s")


async def test_a_stage_may_run_in_a_jobset_and_suspending_deletes_it(
    jobset_kind: None, api: Api, operator: OperatorProcess
) -> None:
    await api.create(train_job(workload="JobSet"))
    assert await until(lambda: api.names(JOB_SETS), bool) == ["demo-sft-a1"]
    assert await api.names(JOBS) == []

    await api.patch(TRAIN_JOBS, "demo", {"spec": {"suspend": True}})
    await until(lambda: api.names(JOB_SETS), lambda seen: seen == [])


CLAIM: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "workspace"},
    "spec": {"resources": {"requests": {"storage": "1Gi"}}, "storageClassName": ""},
}


def claim(mode: str, namespace: str) -> dict[str, Any]:
    metadata = {**CLAIM["metadata"], "namespace": namespace}
    return {**CLAIM, "metadata": metadata, "spec": {**CLAIM["spec"], "accessModes": [mode]}}


async def test_several_nodes_on_a_claim_of_one_node_are_refused_until_it_is_another(
    api: Api, operator: OperatorProcess, kubectl: Kubectl
) -> None:
    kubectl.apply(claim("ReadWriteOnce", api.namespace))
    await api.create(train_job(nodes={"count": 2}))

    found = await until(lambda: status_of(api), lambda seen: condition(seen, "Stalled").get("status") == "True")
    assert condition(found, "Stalled")["reason"] == "ClaimNotShared"
    assert "claim workspace has ReadWriteOnce" in condition(found, "Stalled")["message"]
    assert await api.names(JOBS) == []

    kubectl("delete", "pvc", "workspace", "-n", api.namespace)
    kubectl.apply(claim("ReadWriteMany", api.namespace))
    await reconciled(api, "another claim")
    await appeared(api, "demo-sft-a1")
