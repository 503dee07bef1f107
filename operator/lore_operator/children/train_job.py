"""A stage as an Indexed Job, if wanted in a JobSet: one pod a node, torchrun inside it, the rank from the completion index."""

from typing import Any, Final

from lore_core.jobs import CONFIG_PATH
from lore_operator.api.v1alpha1.common import ArtifactRef
from lore_operator.api.v1alpha1.train_job import Nodes, RelevanceTrainJob, WorkloadKind
from lore_operator.api.v1alpha1.train_stage import Stage
from lore_operator.children.config_maps import config_map, report_map
from lore_operator.children.job import job
from lore_operator.children.jobset import in_jobset, member_name
from lore_operator.children.names import Attempt
from lore_operator.children.pod import Workload, gpus_asked
from lore_operator.children.report_access import service_account_name
from lore_operator.children.service import headless_service
from lore_operator.children.settings import Settings
from lore_operator.children.train_config import StageConfig, stage_secrets

_PORT: Final = 29500


def train_objects(
    resource: dict[str, Any],
    train_job: RelevanceTrainJob,
    stage: Stage,
    attempt: Attempt,
    labels: dict[str, str],
    config: StageConfig,
    inputs: tuple[ArtifactRef, ...],
    settings: Settings,
) -> list[dict[str, Any]]:
    """The objects of one attempt in the order they are created: at most four. Raises InvalidPodTemplate."""
    spec, nodes = train_job.spec, stage_nodes(train_job, stage)
    service, pods_job = own_service(train_job, stage), job_of_pods(train_job, attempt)
    workload = Workload(
        attempt=attempt,
        namespace=train_job.metadata.namespace,
        image=spec.runner.image or settings.images.trainer,
        command=("lore", stage.verb, "--config", CONFIG_PATH),
        variables=_gang(attempt, pods_job, nodes.count, max(1, nodes.gpus_per_node)) if stage.verb == "train" else {},
        pods=spec.runner,
        service_account=service_account_name(resource, spec.runner, settings),
        labels=labels,
        inputs=inputs,
        workspace=spec.workspace,
        gpus=nodes.gpus_per_node,
        subdomain=attempt.job if service else None,
        secrets=stage_secrets(stage),
    )
    made = job(resource, workload, settings, nodes=nodes.count, queue=spec.runner.queue_name)
    return [
        config_map(resource, attempt, labels, config, {"spec": spec.to_wire()}, settings),
        *([headless_service(resource, attempt, labels)] if service else []),
        in_jobset(made) if spec.workload is WorkloadKind.JOB_SET else made,
        report_map(resource, attempt, labels, settings),
    ]


def own_service(train_job: RelevanceTrainJob, stage: Stage) -> bool:
    """Whether an attempt has a headless Service of ours: pods of several nodes must find each other. JobSet makes its own."""
    return stage_nodes(train_job, stage).count > 1 and train_job.spec.workload is WorkloadKind.JOB


def job_of_pods(train_job: RelevanceTrainJob, attempt: Attempt) -> str:
    """Name of the Job whose pods an attempt runs."""
    return member_name(attempt.job) if train_job.spec.workload is WorkloadKind.JOB_SET else attempt.job


def stage_nodes(train_job: RelevanceTrainJob, stage: Stage) -> Nodes:
    """The gang of a stage. Synthesis waits for a teacher elsewhere, quantising rounds numbers: one pod without a GPU."""
    return train_job.spec.nodes if stage.verb == "train" else Nodes()


def stage_gpus(train_job: RelevanceTrainJob, stage: Stage) -> int:
    """GPUs of all pods of a stage: those that its containers are limited to by hand, else those of `nodes`."""
    nodes = stage_nodes(train_job, stage)
    if stage.verb != "train":
        return 0
    asked = gpus_asked(train_job.spec.runner.resources.to_wire())
    return nodes.count * (asked or nodes.gpus_per_node)


def _gang(attempt: Attempt, pods_job: str, nodes: int, processes: int) -> dict[str, str]:
    """What `lore train` starts its ranks with (lore_core.training.launch); the node's own rank is its completion index."""
    if nodes == 1:
        return {"LORE_NPROC": str(processes)}
    return {
        "LORE_NODES": str(nodes),
        "LORE_NPROC": str(processes),
        "LORE_MASTER_ADDR": f"{pods_job}-0.{attempt.job}",
        "LORE_MASTER_PORT": str(_PORT),
    }
