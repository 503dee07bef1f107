"""What the pods are is reviewed as YAML: a change of a builder shows in golden/, written by `python -m unit.children.golden`."""

import json
from typing import Any

import pytest
import yaml
from unit.children.golden import FOLDER, GOLDEN, evaluation, head, render, traffic, train

from lore_core.jobs import EvaluateConfig, GoodRateConfig, HeadBuildConfig, SynthesizeConfig, TrainConfig
from lore_core.jobs.quantize import QuantizeConfig
from lore_operator.children.job import QUEUE


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_the_children_are_as_reviewed(name: str) -> None:
    assert render(name) == (FOLDER / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_rendering_twice_gives_the_same_bytes(name: str) -> None:
    assert render(name) == render(name)


@pytest.mark.parametrize(
    ("objects", "config"),
    [
        (train(0), TrainConfig),
        (train(1), TrainConfig),
        (train(2), SynthesizeConfig),
        (train(4), QuantizeConfig),
        (evaluation(), EvaluateConfig),
        (traffic(), GoodRateConfig),
        (head(), HeadBuildConfig),
    ],
    ids=["sft", "distill", "synthesize", "quantize", "evaluate", "traffic", "head"],
)
def test_the_pod_accepts_the_config_that_the_operator_renders(objects: list[dict[str, Any]], config: Any) -> None:
    (found,) = (item["data"]["config.json"] for item in objects if item["kind"] == "ConfigMap" and "data" in item)

    assert json.loads(found) == config.model_validate_json(found).model_dump(
        mode="json", by_alias=True, exclude_none=True
    )


def every_pod() -> list[dict[str, Any]]:
    found = [item for name in GOLDEN for item in yaml.safe_load_all(render(name))]
    jobs = [item for item in found if item["kind"] == "Job"]
    jobs += [one["template"] for item in found if item["kind"] == "JobSet" for one in item["spec"]["replicatedJobs"]]
    return [job["spec"]["template"]["spec"] for job in jobs]


def test_every_pod_keeps_to_the_restricted_profile_and_a_read_only_root() -> None:
    for pod in every_pod():
        main = pod["containers"][0]
        assert pod["securityContext"] | {"runAsNonRoot": True, "runAsUser": 65532} == pod["securityContext"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert main["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_home_and_caches_lie_on_scratch_space_and_a_checkpoint_has_time() -> None:
    for pod in every_pod():
        scratch = {volume["name"] for volume in pod["volumes"] if "emptyDir" in volume}
        folders = [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"] if mount["name"] in scratch]
        values = {item["name"]: item["value"] for item in pod["containers"][0]["env"]}
        written = [values[name] for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME")]
        assert all(path.startswith(tuple(folders)) for path in written)
        # Unset, torch builds its extensions below XDG_CACHE_HOME, and `lore train` may copy the image's own there.
        assert "TORCH_EXTENSIONS_DIR" not in values
        assert pod["terminationGracePeriodSeconds"] >= 60


def test_only_the_claim_with_the_workspace_is_writable() -> None:
    pod = every_pod()[0]
    claims = {
        volume["persistentVolumeClaim"]["claimName"]: volume["persistentVolumeClaim"].get("readOnly", False)
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }

    assert claims == {"datasets": True, "lore": False}


def test_synthesis_is_one_pod_that_reads_the_teachers_key_from_its_secret() -> None:
    _, job, _ = train(2)
    pod = job["spec"]["template"]["spec"]
    mounts = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}

    assert [item["kind"] for item in train(2)] == ["ConfigMap", "Job", "ConfigMap"]
    assert pod["containers"][0]["command"][:2] == ["lore", "synthesize"]
    assert "/mnt/lore/secrets/teacher-key" in mounts
    assert "nvidia.com/gpu" not in pod["containers"][0]["resources"].get("limits", {})


def main_variables(pod: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item.pop("value") for item in pod["containers"][0]["env"]}


def test_a_jobset_runs_the_pods_of_the_job_under_the_names_that_it_gives_them() -> None:
    *_, job, _ = train(0)
    _, jobset, _ = train(0, "JobSet")
    (member,) = jobset["spec"]["replicatedJobs"]
    alone, within = (item["spec"]["template"]["spec"] for item in (job, member["template"]))

    assert jobset["spec"]["network"]["subdomain"] == alone.pop("subdomain")
    before, after = main_variables(alone), main_variables(within)
    assert {name for name in before if before[name] != after[name]} == {"LORE_MASTER_ADDR"}
    # JobSet names its Job JOBSET-REPLICATED-INDEX, and the Job its pods JOB-INDEX.
    assert (
        after["LORE_MASTER_ADDR"] == f"{jobset['metadata']['name']}-{member['name']}-0-0.{jobset['metadata']['name']}"
    )
    assert within == alone
    kept = {name: value for name, value in job["spec"].items() if name not in ("template", "suspend")}
    assert kept == {name: value for name, value in member["template"]["spec"].items() if name != "template"}


def test_a_queue_holds_the_jobset_and_not_the_job_within_it() -> None:
    _, jobset, _ = train(0, "JobSet")
    (member,) = jobset["spec"]["replicatedJobs"]

    assert (jobset["metadata"]["labels"][QUEUE], jobset["spec"]["suspend"]) == ("gpu", True)
    assert QUEUE not in member["template"]["metadata"]["labels"]
    assert "suspend" not in member["template"]["spec"]


def test_nccl_tells_of_its_errors_unless_the_spec_says_otherwise() -> None:
    *_, asked, _ = train(0)
    assert main_variables(asked["spec"]["template"]["spec"])["NCCL_DEBUG"] == "INFO"

    *_, plain, _ = train(0, runner={})
    assert main_variables(plain["spec"]["template"]["spec"])["NCCL_DEBUG"] == "WARN"
    _, without, _ = train(2, runner={})
    assert "NCCL_DEBUG" not in main_variables(without["spec"]["template"]["spec"])


def test_an_attempt_in_a_jobset_is_three_objects() -> None:
    assert [item["kind"] for item in train(0, "JobSet")] == ["ConfigMap", "JobSet", "ConfigMap"]


def test_an_attempt_of_a_gang_is_four_objects() -> None:
    assert [item["kind"] for item in train(0)] == ["ConfigMap", "Service", "Job", "ConfigMap"]
