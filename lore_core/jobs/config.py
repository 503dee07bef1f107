"""Configs of the workload pods, one model per verb. camelCase on the wire, like the resources they come from."""

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from lore_core.artifacts.manifest import canonical_json, sha256_digest
from lore_core.artifacts.ref import ArtifactRef, Digest
from lore_core.jobs.lora import Lora
from lore_core.jobs.pass_at_k import PassAtK
from lore_core.jobs.selection import Selection
from lore_core.jobs.teaching import TEACHER_NEEDED, TeacherKnobs
from lore_core.jobs.wire import Confidence as Confidence
from lore_core.jobs.wire import Decimal as Decimal
from lore_core.jobs.wire import LabelName as LabelName
from lore_core.jobs.wire import Name as Name
from lore_core.jobs.wire import Positive as Positive
from lore_core.jobs.wire import Share as Share
from lore_core.jobs.wire import Weight as Weight
from lore_core.jobs.wire import WireModel as WireModel


class RuleMode(StrEnum):
    """Which rules a prompt shows. `Oracle` shows the record's own rule_list, which may contain gold."""

    NONE = "None"
    RETRIEVED = "Retrieved"
    ORACLE = "Oracle"


class PromptLanguage(StrEnum):
    """Language of the instructions that a chat endpoint is given; a record's own texts are never translated."""

    ENGLISH = "English"
    CHINESE = "Chinese"


class Layout(StrEnum):
    """Where the label stands in a generated answer."""

    LABEL_FIRST = "LabelFirst"
    THINK_FIRST = "ThinkFirst"


class Optimizer(WireModel):
    """Knobs of one training stage. Steps are optimizer steps; the batch is pairs per optimizer step over all ranks.

    `keepCheckpoints` of the newest checkpoints are kept, and the best one where a stage selects by it.
    """

    learning_rate: Decimal = "0.002"
    warmup_steps: int = Field(default=20, ge=0)
    max_steps: int = Field(default=400, ge=1, le=10_000_000)
    batch_size: int = Field(default=32, ge=1, le=65_536)
    weight_decay: Decimal = "0.01"
    gradient_clip: Decimal = "1.0"
    seed: int = Field(default=17, ge=0)
    checkpoint_every: int = Field(default=100, ge=1)
    keep_checkpoints: int = Field(default=2, ge=1, le=1_000)


class SftSettings(WireModel):
    """Knobs of supervised fine-tuning, as a spec gives them.

    `labelWeight` is what the label's token counts in the loss; `balanceLabels` repeats pairs of rarer labels within an epoch;
    `curriculumShare` of the steps see pairs that need no rules, no picture, no knowledge first; `sharePrefix` computes the common
    beginning of a query's prompts once; with `selection` the best checkpoint counts, without it the last step;
    with `lora` adapters are trained, without it all weights; with `passAtK` each checkpoint's answers are sampled too.
    `handOver` goes with layout LabelFirst and think-first weights: over that share of the steps the reasoning before the label
    shrinks from its beginning, until the label alone is left.
    """

    layout: Layout = Layout.THINK_FIRST
    rule_mode: RuleMode = RuleMode.RETRIEVED
    optimizer: Optimizer = Optimizer()
    max_prompt_tokens: int = Field(default=96, ge=16, le=131_072)
    label_weight: Positive = "1"
    balance_labels: bool = False
    curriculum_share: Share = "0"
    share_prefix: bool = False
    hand_over: Share = "0"
    selection: Selection | None = None
    lora: Lora | None = None
    pass_at_k: PassAtK | None = None

    @model_validator(mode="after")
    def _handed_to_label_first(self) -> "SftSettings":
        if float(self.hand_over) and (self.layout is not Layout.LABEL_FIRST or float(self.curriculum_share)):
            raise ValueError("handOver: goes with layout LabelFirst and without curriculumShare")
        return self


class SftStage(SftSettings):
    """Supervised fine-tuning of the generative model on label pairs and, think-first, on their reasoning traces."""

    kind: Literal["sft"] = "sft"


class StudentKind(StrEnum):
    """What a student is: a cross-encoder, a language model whose first token is the label, an encoder of query and item apart."""

    CLASSIFIER = "Classifier"
    CAUSAL = "Causal"
    TWO_TOWER = "TwoTower"


OVERLAP_NEEDED: Final = "showOverlap goes with student Classifier"


class DistillSettings(TeacherKnobs):
    """Knobs of a distillation stage that need no artifact, as a spec gives them."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    student: StudentKind = StudentKind.CLASSIFIER
    """Classifier: a four-class cross-encoder. Causal: a small language model whose first token is the label. TwoTower: one
    encoder for query and item apart, and four labels from the cosine of both."""
    max_prompt_tokens: int = Field(default=128, ge=16, le=8192)
    """Longest input in tokens."""
    show_overlap: bool = False
    """Tell the student how many of the query's words stand in the title, in training and wherever it is served."""
    selection: Selection | None = None
    """End with the checkpoint that scores best on the tune split; without it the last step counts."""

    @model_validator(mode="after")
    def _overlapping(self) -> Self:
        if self.show_overlap and self.student is not StudentKind.CLASSIFIER:
            raise ValueError(f"{OVERLAP_NEEDED}; leave it out or choose that student")
        return self


class DistillStage(DistillSettings):
    """A student, fine-tuned on gold labels and, where `teacher` is given, on its scores."""

    kind: Literal["distill"] = "distill"
    base: ArtifactRef
    teacher: ArtifactRef | None = None
    optimizer: Optimizer = Optimizer(learning_rate="0.0001", max_steps=200)

    @model_validator(mode="after")
    def _taught(self) -> "DistillStage":
        if self.needs_teacher and self.teacher is None:
            raise ValueError(f"teacher: {TEACHER_NEEDED}; give one or use none of them")
        return self


class AlignMethod(StrEnum):
    """How a fine-tuned model is aligned. `ExpectedReward` is for label-first models, the others are for think-first ones."""

    GRPO = "Grpo"
    EXPECTED_REWARD = "ExpectedReward"
    DPO = "Dpo"
    KTO = "Kto"


class AlignPreset(StrEnum):
    """Knobs of sampling and divergence: as two papers give them, or for small models on CPUs."""

    DYKNOW = "DyKnow"
    TAOSR1 = "TaoSR1"
    TINY = "Tiny"


class AlignOptimizer(Optimizer):
    """Knobs of an align stage; a step's batch is prompts, each answered as often as the preset says."""

    learning_rate: Decimal = "0.000001"
    warmup_steps: int = Field(default=0, ge=0)
    max_steps: int = Field(default=200, ge=1, le=10_000_000)
    checkpoint_every: int = Field(default=50, ge=1)


class RewardSettings(WireModel):
    """Weights of the reward's parts, 0 for none. Answers lose up to `length` from `lengthFrom` to `lengthTo` tokens."""

    label: Weight = "1"
    format: Weight = "0.2"
    length: Weight = "0.1"
    citation: Weight = "0.2"
    length_from: int = Field(default=48, ge=1, le=32_768)
    length_to: int = Field(default=96, ge=2, le=65_536)

    @model_validator(mode="after")
    def _rising(self) -> "RewardSettings":
        if self.length_from >= self.length_to:
            raise ValueError(f"reward.lengthFrom: {self.length_from} must be below lengthTo {self.length_to}")
        return self


class AlignSettings(WireModel):
    """Knobs of alignment, as a spec gives them.

    Of the training pairs whose label is held for less likely than `below`, at most `candidates` are looked at, the least
    sure first; those stay whose sampled answers are neither all right nor all wrong, with labels balanced. With `passAtK`
    answers to the tune split are sampled before the first step and whenever the guards look.
    """

    method: AlignMethod = AlignMethod.GRPO
    preset: AlignPreset = AlignPreset.DYKNOW
    optimizer: AlignOptimizer = AlignOptimizer()
    reward: RewardSettings = RewardSettings()
    candidates: int = Field(default=2_048, ge=1, le=10_000_000)
    below: Share = "0.7"
    guard_every: int = Field(default=20, ge=1)
    pass_at_k: PassAtK | None = None


class AlignStage(AlignSettings):
    """Alignment of a fine-tuned generative model with the labels' meaning, under the contract that it was tuned for."""

    kind: Literal["align"] = "align"


class Capability(StrEnum):
    """What a pair may ask of its judge, in the order in which reasoning is synthesised (arXiv 2512.03025)."""

    KNOWLEDGE = "Knowledge"
    VISUAL = "Visual"
    RULES = "Rules"


class Endpoint(WireModel):
    """An OpenAI-compatible chat endpoint. `credentials` is the mounted Secret's folder; its key `token` is the API key."""

    url: str = Field(pattern=r"^https?://[^\s?#]+$", max_length=1024)
    model: str = Field(min_length=1, max_length=256)
    credentials: str | None = None


class JudgedEndpoint(Endpoint):
    """A model that is judged over an OpenAI-compatible chat endpoint, own or hosted.

    Every answer must name `answers_as` (`model` where not given) as its model: hosted services answer an alias under a dated
    name. A `reasoning_model` is asked with `max_completion_tokens` and without temperature and seed, which such models refuse.
    """

    url: str = Field(pattern=r"^https?://[^\s?#@]+$", max_length=1024)
    answers_as: str | None = Field(default=None, min_length=1, max_length=256)
    reasoning_model: bool = False
    prompt_language: PromptLanguage = PromptLanguage.ENGLISH
    concurrency: int = Field(default=8, ge=1, le=512)
    requests_per_minute: int = Field(default=600, ge=1, le=1_000_000)
    timeout_seconds: int = Field(default=120, ge=1, le=3_600)
    max_tries: int = Field(default=6, ge=1, le=20)

    @property
    def answering_model(self) -> str:
        """The name that answers must give."""
        return self.answers_as or self.model

    @property
    def identity(self) -> str:
        """Digest of who is asked; what answers there is nobody's to verify."""
        asked = {"url": self.url, "model": self.model, "answersAs": self.answering_model}
        return sha256_digest(canonical_json({**asked, "reasoningModel": self.reasoning_model}))


class ServedAt(WireModel):
    """A vLLM server that already serves the model: base url without path, the model's name there, requests at once."""

    url: str = Field(pattern=r"^https?://[^\s?#@]+$", max_length=1024)
    model: str = Field(min_length=1, max_length=256)
    concurrency: int = Field(default=4, ge=1, le=512)


class SynthesizeSettings(WireModel):
    """Knobs of trace synthesis, as a spec gives them.

    `samples` is N of pass@N: answers asked for until one passes the checker. `goldConditionedPercent` bounds the share of
    accepted traces whose teacher was told the label, asked only where all N failed; the default is none.
    """

    capabilities: tuple[Capability, ...] = tuple(Capability)
    samples: int = Field(default=2, ge=1, le=16)
    temperature: Decimal = "0.7"
    max_answer_tokens: int = Field(default=512, ge=16, le=32_768)
    concurrency: int = Field(default=8, ge=1, le=512)
    requests_per_minute: int = Field(default=6_000, ge=1, le=1_000_000)
    timeout_seconds: int = Field(default=60, ge=1, le=3_600)
    max_tries: int = Field(default=5, ge=1, le=20)
    token_budget: int = Field(default=10_000_000, ge=1, le=1_000_000_000_000)
    gold_conditioned_percent: int = Field(default=0, ge=0, le=20)


class SynthesizeStage(SynthesizeSettings):
    """Reasoning traces from a teacher, checked; `vision` words pictures that come without text."""

    teacher: Endpoint
    vision: Endpoint | None = None


class SynthesizeConfig(WireModel):
    """`lore synthesize`: the training pairs of `data` with a teacher's traces; the result is a pairs artifact at `output`."""

    job: Name
    stage: Name
    data: ArtifactRef
    rule_set: ArtifactRef | None = None
    workspace: ArtifactRef
    input_key: Digest
    spec: SynthesizeStage

    @property
    def output(self) -> ArtifactRef:
        """Where the pairs go; named by the input key, so equal work is found again."""
        return self.workspace.child(f"stages/{self.input_key.removeprefix('sha256:')[:20]}/pairs")

    @property
    def requests(self) -> ArtifactRef:
        """Where answers are kept by the content of their requests, for every stage and run of the workspace."""
        return self.workspace.child("teacher-requests")


class DeepSpeedConfig(WireModel):
    """ZeRO stage and precision; everything else of the DeepSpeed config is derived from the stage."""

    zero_stage: int = Field(default=2, ge=0, le=3)
    dtype: Literal["float32", "bfloat16"] = "float32"


class TrainConfig(WireModel):
    """`lore train`: one stage of a train job. The result is a model artifact at `output`."""

    job: Name
    stage: Name
    base_model: ArtifactRef
    data: ArtifactRef
    rule_set: ArtifactRef | None = None
    workspace: ArtifactRef
    input_key: Digest
    deepspeed: DeepSpeedConfig = DeepSpeedConfig()
    spec: Annotated[SftStage | DistillStage | AlignStage, Field(discriminator="kind")]

    @property
    def folder(self) -> ArtifactRef:
        """Where all that the stage makes goes; named by the input key, so equal work is found again."""
        return self.workspace.child(f"stages/{self.input_key.removeprefix('sha256:')[:20]}")

    @property
    def output(self) -> ArtifactRef:
        """Where the stage's model goes."""
        return self.folder.child("model")

    @property
    def checkpoints(self) -> ArtifactRef:
        """Where the stage's checkpoints go."""
        return self.folder.child("checkpoints")


class ServingProfile(WireModel):
    """How a model is served, as far as it can change a score. A verdict holds for one profile only."""

    image: str = Field(min_length=1, max_length=512)
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    quantization: str = Field(default="none", pattern=r"^[a-z0-9_-]{1,32}$")
    kv_cache_dtype: str = Field(default="auto", pattern=r"^[a-z0-9_]{1,32}$")
    max_model_len: int = Field(default=256, ge=32, le=1_048_576)


class HeadBuildConfig(WireModel):
    """`lore head build`: score the candidates with a model and write one immutable head generation."""

    deployment: Name
    model: ArtifactRef
    profile: ServingProfile
    candidates: ArtifactRef
    items: ArtifactRef
    rule_set: ArtifactRef | None = None
    workspace: ArtifactRef
    input_key: Digest
    min_coverage: Decimal = "0.99"

    @property
    def output(self) -> ArtifactRef:
        """Where the generation goes."""
        return self.workspace.child(f"heads/{self.input_key.removeprefix('sha256:')[:20]}")
