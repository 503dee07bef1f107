"""The RelevanceModel that a train job publishes: no owner, so that it outlives what made it."""

from collections.abc import Mapping
from typing import Any

from lore_core.jobs import Report
from lore_operator.api.v1alpha1 import API_VERSION
from lore_operator.api.v1alpha1.common import ArtifactRef, DeletionPolicy
from lore_operator.api.v1alpha1.train_job import RelevanceTrainJob
from lore_operator.api.v1alpha1.train_stage import Stage
from lore_operator.children.train_config import StageConfig


def relevance_model(
    job: RelevanceTrainJob,
    stage: Stage,
    result: ArtifactRef,
    config: StageConfig,
    inputs: Mapping[str, ArtifactRef | None],
    report: Report,
) -> dict[str, Any]:
    """The model of a finished stage. Raises ValueError where the stage publishes none."""
    if stage.publish is None:
        raise ValueError(f"stage {stage.name} publishes no model")
    lineage = {
        "trainJob": job.metadata.name,
        "stage": stage.name,
        "inputKey": config.input_key,
        "inputs": [_input(role, ref, report) for role, ref in sorted(inputs.items()) if ref is not None],
    }
    layout = job.spec.layout_of(stage)
    role = stage.distill.student.value if stage.distill and layout is None else "Generative"
    contract = {"contract": {"layout": layout.value}} if layout else {}
    deletes = stage.publish.deletion_policy is DeletionPolicy.DELETE
    return {
        "apiVersion": API_VERSION,
        "kind": "RelevanceModel",
        "metadata": {"name": stage.publish.as_, "namespace": job.metadata.namespace},
        "spec": {
            **result.to_wire(),
            "role": role,
            **contract,
            "lineage": lineage,
            **({"deletionPolicy": DeletionPolicy.DELETE.value} if deletes else {}),
        },
    }


def _input(role: str, ref: ArtifactRef, report: Report) -> dict[str, str]:
    digest = ref.digest or report.resolved.get(role)
    return {"name": role, "uri": ref.uri, **({"digest": digest} if digest else {})}
