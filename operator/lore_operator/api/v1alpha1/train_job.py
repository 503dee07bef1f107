"""RelevanceTrainJob: ordered training stages on one data set; each published stage becomes a RelevanceModel."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from lore_core.jobs.config import Decimal, DeepSpeedConfig, Layout, Name
from lore_operator.api.v1alpha1.common import (
    ApiModel,
    ArtifactRef,
    CommonStatus,
    Count,
    Failure,
    Progress,
    Resource,
    ResultRef,
    Runner,
    RunPolicy,
    Token,
    Workspace,
)
from lore_operator.api.v1alpha1.schema_hints import Rule, cel, list_map, short_name
from lore_operator.api.v1alpha1.train_stage import Stage

MAX_NAMES = 52
"""Job name and stage name together: `JOB-STAGE-aNNN` and the pod's `-INDEX` must fit the 63 characters of a host name."""

MAX_NAMES_IN_JOBSET = 43
"""The same where JobSet runs the pods: its webhook wants `JOB-STAGE-aNNN-n-0-INDEX-abcde` in 63 characters."""

MAX_STAGES = 16

_INDEX = str(list(range(MAX_STAGES)))
"""Written out: comprehensions with an index need Kubernetes 1.33."""
_TEACHER_FIRST = Rule(
    f"{_INDEX}.all(i, i >= self.size() || !has(self[i].distill) || !has(self[i].distill.from)"
    f" || {_INDEX}.exists(j, j < i && self[j].name == self[i].distill.from && !has(self[j].synthesize) && !has(self[j].quantize)))",
    "distill.from must name an earlier stage that trains",
)
_FULL_MODEL_FIRST = Rule(
    f"{_INDEX}.all(i, i >= self.size() || !has(self[i].quantize)"
    f" || {_INDEX}.exists(j, j < i && self[j].name == self[i].quantize.from && (has(self[j].sft) || has(self[j].align)"
    " || (has(self[j].distill) && self[j].distill.student == 'Causal'))))",
    "quantize.from must name an earlier stage that makes a language model",
)
_DISTINCT_MODELS = Rule(
    "self.all(s, !has(s.publish) || self.filter(t, has(t.publish) && t.publish.__as__ == s.publish.__as__).size() == 1)",
    "two stages publish under the same name",
)


class WorkloadKind(StrEnum):
    """What holds a stage's pods together."""

    JOB = "Job"
    JOB_SET = "JobSet"


class Nodes(ApiModel):
    """Pods of a stage. Every pod runs one process per GPU, or one where it has none."""

    count: int = Field(default=1, ge=1, le=512)
    """Number of pods."""
    gpus_per_node: int = Field(default=0, ge=0, le=16)
    """GPUs of each pod."""


_RULES_THERE = Rule(
    "has(self.ruleSet) || self.stages.all(s, (!has(s.sft) || s.sft.ruleMode != 'Retrieved')"
    " && (!has(s.synthesize) || !('Rules' in s.synthesize.capabilities)))",
    "a stage with ruleMode Retrieved or capability Rules needs ruleSet; give it or use neither",
)


class TrainJobSpec(ApiModel):
    """What to train. Edits after the start change nothing until `runToken` changes."""

    model_config = ConfigDict(json_schema_extra=cel(_RULES_THERE))

    base_model: ArtifactRef
    """Model that the first stage starts from."""
    data: ArtifactRef
    """Annotated pairs."""
    rule_set: ArtifactRef | None = None
    """Rules shown in the prompt."""
    workspace: Workspace
    """Where checkpoints and models are written. Several nodes need one that all of them can write (RWX or an object store)."""
    nodes: Nodes = Nodes()
    """Size of the gang."""
    workload: WorkloadKind = WorkloadKind.JOB
    """Kind that runs a stage's pods: an Indexed Job, or a JobSet around it where other tools of the cluster expect one."""
    runner: Runner = Runner()
    """How pods are run."""
    deepspeed: DeepSpeedConfig = DeepSpeedConfig()
    """Sharding and precision."""
    stages: Annotated[
        tuple[Stage, ...],
        *list_map("name", MAX_STAGES, _TEACHER_FIRST, _FULL_MODEL_FIRST, _DISTINCT_MODELS, min_items=1),
    ]
    """Stages in their order."""
    run_policy: RunPolicy = RunPolicy()
    """Attempts, time limits and what is kept."""
    run_token: Token | None = None
    """Any new string starts a new run, with the spec as it is then; finished stages with equal inputs are reused."""
    suspend: bool = False
    """Stop the pods and start nothing. Work goes on from the last checkpoint afterwards."""

    @model_validator(mode="after")
    def _stages_fit_together(self) -> "TrainJobSpec":
        ruled = [stage.name for stage in self.stages if stage.shows_rules]
        if ruled and self.rule_set is None:
            raise ValueError(f"stage {ruled[0]}: {_RULES_THERE.message}")
        for index, stage in enumerate(self.stages):
            teacher = stage.distill.from_ if stage.distill else None
            if teacher is not None and teacher not in [s.name for s in self.stages[:index] if s.verb == "train"]:
                raise ValueError(f"stage {stage.name}: {_TEACHER_FIRST.message}, {teacher} is none")
            full = stage.quantize.from_ if stage.quantize else None
            if full is not None and full not in [s.name for s in self.stages[:index] if s.layout]:
                raise ValueError(f"stage {stage.name}: {_FULL_MODEL_FIRST.message}, {full} is none")
        published = [stage.publish.as_ for stage in self.stages if stage.publish]
        if len(set(published)) != len(published):
            raise ValueError("two stages publish under the same name")
        return self

    def layout_of(self, stage: Stage) -> Layout | None:
        """Where the model of one of the stages says its label; a quantised one does as the full one."""
        if stage.quantize is None:
            return stage.layout
        return next(one.layout for one in self.stages if one.name == stage.quantize.from_)


class StageMetric(ApiModel):
    """One number of a stage."""

    name: str = Field(max_length=64)
    """Name in the report's summary."""
    value: str = Field(max_length=32)
    """Value, as a string."""


class StageStatus(ApiModel):
    """How far one stage is."""

    name: Name
    """Name of the stage."""
    phase: str = Field(max_length=32)
    """Pending, Running, Succeeded or Failed."""
    attempt: Count | None = None
    """Latest attempt."""
    job_name: str | None = Field(default=None, max_length=63)
    """Its Job."""
    progress: Progress | None = None
    """Latest progress."""
    metrics: Annotated[tuple[StageMetric, ...], *list_map("name", 32)] = ()
    """What the stage measured last while it runs, and the numbers of its report when it has finished."""
    gpu_hours: Decimal | None = None
    """Hours of all its GPUs over the attempts of this run, from a pod's first report to its last; absent without GPUs."""
    result: ResultRef | None = None
    """The stage's model."""
    reused: bool | None = None
    """Whether an equal model was found and nothing was computed."""
    published: str | None = Field(default=None, max_length=253)
    """RelevanceModel that was created from it."""


class TrainJobStatus(CommonStatus):
    """What became of it."""

    stage: str | None = Field(default=None, max_length=63)
    """Stage that runs now or failed."""
    stages: Annotated[tuple[StageStatus, ...], *list_map("name", MAX_STAGES)] = ()
    """Every stage."""
    restarts: Count | None = None
    """Attempts of this run beyond the first of each stage."""
    start_time: str | None = Field(default=None, json_schema_extra={"format": "date-time"})
    """When the run's first attempt was created."""
    completion_time: str | None = Field(default=None, json_schema_extra={"format": "date-time"})
    """When the run ended."""
    failure: Failure | None = None
    """Latest failure."""


_FITS_A_JOBSET = Rule(
    "self.spec.workload != 'JobSet' || (self.metadata.name.matches('^[a-z]')"
    f" && self.spec.stages.all(s, size(self.metadata.name) + size(s.name) <= {MAX_NAMES_IN_JOBSET}))",
    f"with workload JobSet metadata.name begins with a letter, and it and the name of each stage may have"
    f" {MAX_NAMES_IN_JOBSET} characters together",
)


class RelevanceTrainJob(Resource):
    """Trains relevance models: ordered stages on annotated pairs, each published stage becoming a RelevanceModel."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            short_name(MAX_NAMES, "so that the names of its children fit 63"),
            Rule(
                f"self.spec.stages.all(s, size(self.metadata.name) + size(s.name) <= {MAX_NAMES})",
                f"metadata.name and the name of each stage may have {MAX_NAMES} characters together,"
                " so that the names of Jobs and pods fit 63",
            ),
            _FITS_A_JOBSET,
        )
    )

    spec: TrainJobSpec
    status: TrainJobStatus = TrainJobStatus()

    @model_validator(mode="after")
    def _names_fit(self) -> "RelevanceTrainJob":
        self.metadata.check_name(MAX_NAMES)
        jobset = self.spec.workload is WorkloadKind.JOB_SET
        longest = len(self.metadata.name) + max(len(stage.name) for stage in self.spec.stages)
        if jobset and (longest > MAX_NAMES_IN_JOBSET or not self.metadata.name[:1].isalpha()):
            raise ValueError(_FITS_A_JOBSET.message)
        if longest > MAX_NAMES:
            raise ValueError(f"metadata.name and the name of each stage may have {MAX_NAMES} characters together")
        return self
