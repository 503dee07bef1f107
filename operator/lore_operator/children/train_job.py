"""A training stage as an Indexed Job: one pod a node, torchrun in each, the rank from the completion index."""

from typing import Any, Final

from lore_core.jobs import CONFIG_PATH, TrainConfig
from lore_operator.api.v1alpha1.common import ArtifactRef
from lore_operator.api.v1alpha1.train_job import RelevanceTrainJob
from lore_operator.children.config_maps import config_map, report_map
from lore_operator.children.job import job
from lore_operator.children.names import Attempt
from lore_operator.children.pod import Workload
from lore_operator.children.report_access import service_account_name
from lore_operator.children.service import headless_service
from lore_operator.children.settings import Settings

_PORT: Final = 29500


def train_objects(
    resource: dict[str, Any],
    train_job: RelevanceTrainJob,
    attempt: Attempt,
    labels: dict[str, str],
    config: TrainConfig,
    inputs: tuple[ArtifactRef, ...],
    settings: Settings,
) -> list[dict[str, Any]]:
    """The objects of one attempt in the order they are created: at most four. Raises InvalidPodTemplate."""
    spec = train_job.spec
    workload = Workload(
        attempt=attempt,
        namespace=train_job.metadata.namespace,
        image=spec.runner.image or settings.images.trainer,
        command=_command(attempt, spec.nodes.count, max(1, spec.nodes.gpus_per_node)),
        pods=spec.runner,
        service_account=service_account_name(resource, spec.runner),
        labels=labels,
        inputs=inputs,
        workspace=spec.workspace,
        gpus=spec.nodes.gpus_per_node,
        subdomain=attempt.job if spec.nodes.count > 1 else None,
    )
    return [
        config_map(resource, attempt, labels, config, {"spec": spec.to_wire()}, settings),
        report_map(resource, attempt, labels, settings),
        *([headless_service(resource, attempt, labels)] if spec.nodes.count > 1 else []),
        job(resource, workload, settings, nodes=spec.nodes.count, queue=spec.runner.queue_name),
    ]


def _command(attempt: Attempt, nodes: int, processes: int) -> tuple[str, ...]:
    """Torchrun with a static rendezvous at pod 0; the kubelet puts the completion index in."""
    master = f"{attempt.job}-0.{attempt.job}" if nodes > 1 else "127.0.0.1"
    return (
        "torchrun",
        f"--nnodes={nodes}",
        f"--nproc-per-node={processes}",
        "--node-rank=$(JOB_COMPLETION_INDEX)",
        f"--master-addr={master}",
        f"--master-port={_PORT}",
        "--module",
        "lore_core",
        "train",
        "--config",
        CONFIG_PATH,
    )
