"""The config of one training stage, with what earlier stages made as its input."""

from collections.abc import Mapping

from lore_core.jobs import DistillStage, SftStage, TrainConfig
from lore_operator.api.v1alpha1.common import ArtifactRef
from lore_operator.api.v1alpha1.train_job import RelevanceTrainJob, Stage
from lore_operator.children.input_key import input_key
from lore_operator.children.settings import Settings


def stage_inputs(
    job: RelevanceTrainJob, stage: Stage, results: Mapping[str, ArtifactRef]
) -> dict[str, ArtifactRef | None]:
    """The artifacts that a stage reads, by role. `results` are the models of the stages before it."""
    spec = job.spec
    found: dict[str, ArtifactRef | None] = {"data": spec.data, "rules": spec.rule_set}
    if stage.distill is not None:
        found["base"] = stage.distill.base
        found["teacher"] = results[stage.distill.from_] if stage.distill.from_ else None
    else:
        earlier = spec.stages[: spec.stages.index(stage)]
        tuned = [results[item.name] for item in earlier if item.sft is not None]
        found["base"] = tuned[-1] if tuned else spec.base_model
    return found


def train_config(
    job: RelevanceTrainJob, stage: Stage, results: Mapping[str, ArtifactRef], run: str, settings: Settings
) -> TrainConfig:
    """The stage's config. `run` tells apart runs whose inputs have no digest."""
    inputs = stage_inputs(job, stage, results)
    mounted = {role: ref.mounted() if ref else None for role, ref in inputs.items()}
    base, data = mounted["base"], mounted["data"]
    assert base is not None and data is not None  # noqa: PT018 - both are required by the spec
    work: SftStage | DistillStage
    if stage.sft is not None:
        work = SftStage.model_validate(stage.sft.model_dump())
    else:
        assert stage.distill is not None
        knobs = stage.distill.model_dump(include={"optimizer", "max_prompt_tokens"})
        work = DistillStage.model_validate({**knobs, "base": base, "teacher": mounted["teacher"]})
    parameters = {
        "stage": (stage.sft or stage.distill).model_dump(mode="json", exclude={"base", "from_"}),  # type: ignore[union-attr]
        "deepspeed": job.spec.deepspeed.model_dump(mode="json"),
        "image": job.spec.runner.image or settings.images.trainer,
    }
    return TrainConfig(
        job=job.metadata.name,
        stage=stage.name,
        base_model=base,
        data=data,
        rule_set=mounted["rules"],
        workspace=job.spec.workspace.mounted(),
        input_key=input_key("train", inputs, parameters, run),
        deepspeed=job.spec.deepspeed,
        spec=work,
    )
