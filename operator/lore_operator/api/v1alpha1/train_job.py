"""RelevanceTrainJob: ordered training stages on one data set; each published stage becomes a RelevanceModel."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from lore_core.jobs.config import (
    AlignMethod,
    AlignSettings,
    Capability,
    Decimal,
    DeepSpeedConfig,
    Endpoint,
    Layout,
    Name,
    Optimizer,
    RuleMode,
    SftSettings,
    StudentKind,
    SynthesizeSettings,
)
from lore_core.jobs.lora import Lora, ModuleName
from lore_core.jobs.selection import Selection
from lore_core.jobs.teaching import TEACHER_NEEDED, TeacherKnobs
from lore_operator.api.v1alpha1.common import (
    SECRET_ROOT,
    ApiModel,
    ArtifactRef,
    CommonStatus,
    Count,
    DeletionPolicy,
    Failure,
    LocalReference,
    Progress,
    Resource,
    ResultRef,
    Runner,
    RunPolicy,
    Token,
    Workspace,
)
from lore_operator.api.v1alpha1.schema_hints import Rule, cel, exactly_one, list_map, list_set, short_name

MAX_NAMES = 52
"""Job name and stage name together: `JOB-STAGE-aNNN` and the pod's `-INDEX` must fit the 63 characters of a host name."""

MAX_NAMES_IN_JOBSET = 43
"""The same where JobSet runs the pods: its webhook wants `JOB-STAGE-aNNN-n-0-INDEX-abcde` in 63 characters."""

MAX_STAGES = 16

_KINDS = ("synthesize", "sft", "align", "distill", "quantize")
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


class DistillOptimizer(Optimizer):
    """Knobs of a distillation stage."""

    learning_rate: str = Field(default="0.0001", pattern=r"^-?[0-9]+(\.[0-9]+)?$", max_length=24)
    max_steps: int = Field(default=200, ge=1, le=10_000_000)


_NO_MODEL = Rule(
    "!has(self.synthesize) || !has(self.publish)", "a synthesize stage makes pairs, there is no model to publish"
)


class Teacher(ApiModel):
    """An OpenAI-compatible chat endpoint."""

    url: str = Field(pattern=r"^https?://[^\s?#]+$", max_length=1024)
    """Base address, up to and including /v1."""
    model: str = Field(min_length=1, max_length=256)
    """Name of the model there."""
    secret_ref: LocalReference | None = None
    """Secret with the API key, key `token`."""

    def mounted(self) -> Endpoint:
        """The endpoint as a pod sees it: the Secret is a folder there."""
        folder = f"{SECRET_ROOT}/{self.secret_ref.name}" if self.secret_ref else None
        return Endpoint(url=self.url, model=self.model, credentials=folder)


class Synthesize(SynthesizeSettings):
    """Reasoning traces from a teacher, checked one by one. Later stages train on the pairs whose trace passed."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    capabilities: Annotated[tuple[Capability, ...], *list_set(len(Capability), min_items=1)] = tuple(Capability)
    """What the teacher works with: the demands it found, the picture's words, the rules."""
    teacher: Teacher
    """Who is asked."""
    vision: Teacher | None = None
    """Who words pictures that come without text."""


class Adapters(Lora):
    """Low-rank adapters in place of all weights; the published model has them merged, so that it is served like any other."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    rank: int = Field(default=8, ge=1, le=1_024)
    """Rank of each adapter."""
    alpha: int = Field(default=16, ge=1, le=8_192)
    """An adapter's output counts alpha/rank times."""
    targets: Annotated[tuple[ModuleName, ...], *list_set(32, min_items=1)] = Lora().targets
    """Names of the linear layers that are adapted, in every block."""


_ZERO = "matches('^0([.]0*)?$')"
_HANDED_OVER = Rule(
    f"self.handOver.{_ZERO} || (self.layout == 'LabelFirst' && self.curriculumShare.{_ZERO})",
    "handOver goes with layout LabelFirst and without curriculumShare",
)


class Sft(SftSettings):
    """Supervised fine-tuning of the generative model. It starts from the last sft stage before it, or from the base model."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_extra=cel(_HANDED_OVER))

    lora: Adapters | None = None
    """Train adapters and nothing else; without it all weights are trained."""


class Align(AlignSettings):
    """Alignment of the generative model by reward. It starts from the last sft or align stage before it, or the base model."""


_TAUGHT = Rule(
    f"has(self.from) || (self.marginWeight.{_ZERO} && !self.weighTeacher && !self.calibrateTeacher)",
    f"{TEACHER_NEEDED}: name one in from or use none of them",
)


class Distill(TeacherKnobs):
    """A student, trained on gold labels and, with a teacher, on its scores."""

    model_config = ConfigDict(json_schema_extra=cel(_TAUGHT))

    student: StudentKind = StudentKind.CLASSIFIER
    """Classifier: a four-class cross-encoder. Causal: a small language model whose first token is the label. TwoTower: one
    encoder for query and item apart, and four labels from the cosine of both."""
    base: ArtifactRef
    """Model that the student starts from."""
    from_: Name | None = Field(default=None, alias="from")
    """Earlier stage whose model is the teacher."""
    optimizer: DistillOptimizer = DistillOptimizer()
    """Learning rate, steps, batch."""
    max_prompt_tokens: int = Field(default=128, ge=16, le=8192)
    """Longest input in tokens."""
    selection: Selection | None = None
    """End with the checkpoint that scores best on the tune split; without it the last step counts."""

    @model_validator(mode="after")
    def _taught(self) -> "Distill":
        if self.needs_teacher and self.from_ is None:
            raise ValueError(_TAUGHT.message)
        return self


class Quantize(ApiModel):
    """A variant of an earlier stage's language model with 8-bit linear layers: a model of its own, with a verdict of its own."""

    from_: Name = Field(alias="from")
    """Earlier stage whose model is quantised."""


class Publish(ApiModel):
    """What becomes of a stage's model."""

    as_: Name = Field(alias="as")
    """Exact name of the RelevanceModel that is created once."""
    deletion_policy: DeletionPolicy = DeletionPolicy.RETAIN
    """The model's deletionPolicy: what becomes of its bytes when it is deleted."""


class Stage(ApiModel):
    """One step of training; exactly one of synthesize, sft, align, distill and quantize."""

    model_config = ConfigDict(json_schema_extra=cel(exactly_one(*_KINDS), _NO_MODEL))

    name: Name
    """Name of the stage, part of its children's names."""
    synthesize: Synthesize | None = None
    """Reasoning traces from a teacher."""
    sft: Sft | None = None
    """Supervised fine-tuning."""
    align: Align | None = None
    """Alignment by reward."""
    distill: Distill | None = None
    """Distillation into a student."""
    quantize: Quantize | None = None
    """An earlier model with 8-bit weights."""
    publish: Publish | None = None
    """Publish the stage's model."""

    @model_validator(mode="after")
    def _one_kind(self) -> "Stage":
        if sum(getattr(self, kind) is not None for kind in _KINDS) != 1:
            raise ValueError(f"stage {self.name}: give exactly one of {', '.join(_KINDS)}")
        if self.synthesize and self.publish:
            raise ValueError(f"stage {self.name}: {_NO_MODEL.message}")
        return self

    @property
    def layout(self) -> Layout | None:
        """Where a model that the stage trains says its label; None where it trains no generative model."""
        if self.align:
            exact = self.align.method is AlignMethod.EXPECTED_REWARD
            return Layout.LABEL_FIRST if exact else Layout.THINK_FIRST
        if self.distill and self.distill.student is StudentKind.CAUSAL:
            return Layout.LABEL_FIRST
        return self.sft.layout if self.sft else None

    @property
    def verb(self) -> Literal["train", "synthesize", "quantize"]:
        """What its pods run. Only training has ranks on several nodes and GPUs; the others are one pod."""
        if self.synthesize:
            return "synthesize"
        return "quantize" if self.quantize else "train"

    @property
    def shows_rules(self) -> bool:
        """Whether the stage needs a rule set."""
        if self.synthesize:
            return Capability.RULES in self.synthesize.capabilities
        return self.sft is not None and self.sft.rule_mode == RuleMode.RETRIEVED


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
