"""The config of one training stage, with what earlier stages made as its input."""

from collections.abc import Mapping
from typing import Any, Final

from lore_core import artifacts
from lore_core.jobs import AlignStage, DistillStage, SftStage, SynthesizeConfig, SynthesizeStage, TrainConfig
from lore_core.jobs.quantize import QuantizeConfig
from lore_operator.api.v1alpha1.common import ArtifactRef
from lore_operator.api.v1alpha1.train_job import RelevanceTrainJob
from lore_operator.api.v1alpha1.train_stage import Sft, Stage, Synthesize
from lore_operator.children.input_key import input_key
from lore_operator.children.settings import Settings

StageConfig = TrainConfig | SynthesizeConfig | QuantizeConfig
_NO_PARAMETERS: Final[dict[str, Any]] = {"base": True, "teacher": True, "optimizer": {"keep_checkpoints"}}
"""What changes no result, or is an input by itself."""


def stage_inputs(
    job: RelevanceTrainJob, stage: Stage, results: Mapping[str, ArtifactRef]
) -> dict[str, ArtifactRef | None]:
    """The artifacts that a stage reads, by the role that its report gives them. `results` are what earlier stages made."""
    spec = job.spec
    if stage.quantize is not None:
        return {"baseModel": results[stage.quantize.from_]}
    earlier = spec.stages[: spec.stages.index(stage)]
    pairs = [results[item.name] for item in earlier if item.synthesize is not None]
    shared: dict[str, ArtifactRef | None] = {"data": pairs[-1] if pairs else spec.data, "ruleSet": spec.rule_set}
    if stage.synthesize is not None:
        return shared
    if stage.distill is not None:
        teacher = results[stage.distill.from_] if stage.distill.from_ else None
        return {**shared, "baseModel": stage.distill.base, "teacher": teacher}
    tuned = [results[item.name] for item in earlier if item.sft or item.align]
    return {**shared, "baseModel": tuned[-1] if tuned else spec.base_model}


def stage_config(
    job: RelevanceTrainJob, stage: Stage, results: Mapping[str, ArtifactRef], run: str, settings: Settings
) -> StageConfig:
    """The config of a stage's pods. `run` tells apart runs whose inputs have no digest."""
    if stage.synthesize is not None:
        return _synthesize_config(job, stage, stage.synthesize, results, run, settings)
    if stage.quantize is not None:
        return _quantize_config(job, stage, results, run, settings)
    return train_config(job, stage, results, run, settings)


def _synthesize_config(
    job: RelevanceTrainJob,
    stage: Stage,
    wanted: Synthesize,
    results: Mapping[str, ArtifactRef],
    run: str,
    settings: Settings,
) -> SynthesizeConfig:
    inputs = stage_inputs(job, stage, results)
    mounted = {role: ref.mounted() for role, ref in inputs.items() if ref is not None}
    knobs = wanted.model_dump(exclude={"teacher", "vision"})
    endpoints = {"teacher": wanted.teacher.mounted(), "vision": wanted.vision.mounted() if wanted.vision else None}
    work = SynthesizeStage.model_validate({**knobs, **endpoints})
    secret = {"teacher": {"credentials"}, "vision": {"credentials"}}
    parameters = {
        "stage": work.model_dump(mode="json", exclude=secret),
        "image": job.spec.runner.image or settings.images.trainer,
    }
    return SynthesizeConfig(
        job=job.metadata.name,
        stage=stage.name,
        data=mounted["data"],
        rule_set=mounted.get("ruleSet"),
        workspace=job.spec.workspace.mounted(),
        input_key=input_key("synthesize", inputs, parameters, run),
        spec=work,
    )


def _quantize_config(
    job: RelevanceTrainJob, stage: Stage, results: Mapping[str, ArtifactRef], run: str, settings: Settings
) -> QuantizeConfig:
    inputs = stage_inputs(job, stage, results)
    full = inputs["baseModel"]
    assert full is not None  # the stage before has made it
    image = job.spec.runner.image or settings.images.trainer
    return QuantizeConfig(
        job=job.metadata.name,
        stage=stage.name,
        base_model=full.mounted(),
        workspace=job.spec.workspace.mounted(),
        input_key=input_key("quantize", inputs, {"image": image}, run),
    )


def stage_secrets(stage: Stage) -> tuple[str, ...]:
    """Secrets that a stage's pods read beside those of artifacts."""
    asked = (stage.synthesize.teacher, stage.synthesize.vision) if stage.synthesize else ()
    return tuple(endpoint.secret_ref.name for endpoint in asked if endpoint and endpoint.secret_ref)


def train_config(
    job: RelevanceTrainJob, stage: Stage, results: Mapping[str, ArtifactRef], run: str, settings: Settings
) -> TrainConfig:
    """The config of a stage that makes a model."""
    inputs = stage_inputs(job, stage, results)
    mounted = {role: ref.mounted() for role, ref in inputs.items() if ref is not None}
    work = _work(stage, mounted)
    parameters = {
        "stage": work.model_dump(mode="json", exclude=_NO_PARAMETERS, exclude_none=True),
        "deepspeed": job.spec.deepspeed.model_dump(mode="json"),
        "image": job.spec.runner.image or settings.images.trainer,
    }
    return TrainConfig(
        job=job.metadata.name,
        stage=stage.name,
        base_model=mounted["baseModel"],
        data=mounted["data"],
        rule_set=mounted.get("ruleSet"),
        workspace=job.spec.workspace.mounted(),
        input_key=input_key("train", inputs, parameters, run),
        deepspeed=job.spec.deepspeed,
        spec=work,
    )


def _work(stage: Stage, mounted: Mapping[str, artifacts.ArtifactRef]) -> SftStage | DistillStage | AlignStage:
    if stage.distill is not None:
        knobs = stage.distill.model_dump(exclude={"base", "from_"})
        return DistillStage.model_validate({**knobs, "base": mounted["baseModel"], "teacher": mounted.get("teacher")})
    if stage.align is not None:
        return AlignStage.model_validate(stage.align.model_dump())
    return SftStage.model_validate((stage.sft or Sft()).model_dump())
