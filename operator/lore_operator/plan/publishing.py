"""Publishing a stage's model: once, under the exact name asked for, never over another model, never again after deletion."""

from lore_operator.api.v1alpha1 import RelevanceTrainJob
from lore_operator.api.v1alpha1.train_stage import Stage
from lore_operator.children.labels import PUBLISHED
from lore_operator.children.names import Attempt
from lore_operator.plan.attempts import annotated
from lore_operator.plan.conditions import Halt, State
from lore_operator.plan.draft import Draft
from lore_operator.plan.types import Object

CONFLICT = "PublishConflict"


def check_names_are_free(draft: Draft, job: RelevanceTrainJob) -> None:
    """Before anything runs: no name is taken by a model of another origin. Halts otherwise."""
    for stage in job.spec.stages:
        found = draft.reference("RelevanceModel", stage.publish.as_) if stage.publish else None
        if found is not None and _origin(found) != (job.metadata.name, stage.name):
            raise _taken(stage, f"it was not made by stage {stage.name} of this job")


def check_key(draft: Draft, job: RelevanceTrainJob, stage: Stage, input_key: str) -> None:
    """Before a stage runs: a model of that name was made from the same inputs, so the result can be the same. Halts otherwise."""
    found = draft.reference("RelevanceModel", stage.publish.as_) if stage.publish else None
    if found is not None and (found["spec"].get("lineage") or {}).get("inputKey") != input_key:
        raise _taken(stage, "it was made from other inputs")


def publish(draft: Draft, stage: Stage, attempt: Attempt, model: Object) -> None:
    """Create the model unless this attempt did so before; adopt an equal one. Halts on another one under the name."""
    found = draft.reference("RelevanceModel", model["metadata"]["name"])
    report = draft.find("ConfigMap", attempt.report)
    noted = report is not None and PUBLISHED in (report["metadata"].get("annotations") or {})
    if found is not None and found["spec"].get("digest") != model["spec"]["digest"]:
        raise _taken(stage, f"its digest is {found['spec'].get('digest')}, the stage made {model['spec']['digest']}")
    if found is None and not noted:
        draft.apply(model, create_only=True)
    if report is not None and not noted:
        draft.apply(annotated(report, PUBLISHED, model["metadata"]["name"]))


def _origin(model: Object) -> tuple[str | None, str | None]:
    lineage = model["spec"].get("lineage") or {}
    return lineage.get("trainJob"), lineage.get("stage")


def _taken(stage: Stage, why: str) -> Halt:
    name = stage.publish.as_ if stage.publish else ""
    return Halt(
        State.STALLED,
        CONFLICT,
        f"stage {stage.name} publishes as {name}, but a RelevanceModel of that name exists and {why}:"
        " a model never changes, choose another name or delete it",
    )
