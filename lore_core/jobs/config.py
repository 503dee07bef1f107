"""Configs of the workload pods, one model per verb. camelCase on the wire, like the resources they come from."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from lore_core.artifacts.manifest import canonical_json, sha256_digest
from lore_core.artifacts.ref import ArtifactRef, Digest
from lore_core.jobs.lora import Lora
from lore_core.jobs.selection import Selection
from lore_core.jobs.wire import Confidence as Confidence
from lore_core.jobs.wire import Decimal as Decimal
from lore_core.jobs.wire import LabelName as LabelName
from lore_core.jobs.wire import Name as Name
from lore_core.jobs.wire import Positive as Positive
from lore_core.jobs.wire import Share as Share
from lore_core.jobs.wire import Weight as Weight
from lore_core.jobs.wire import WireModel as WireModel


class RuleMode(StrEnum):
    """Which rules a prompt shows. `Oracle` shows the record's own rule_list, which may contain gold (method.md §2)."""

    NONE = "None"
    RETRIEVED = "Retrieved"
    ORACLE = "Oracle"


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
    with `lora` adapters are trained, without it all weights.
    """

    layout: Layout = Layout.THINK_FIRST
    rule_mode: RuleMode = RuleMode.RETRIEVED
    optimizer: Optimizer = Optimizer()
    max_prompt_tokens: int = Field(default=96, ge=16, le=131_072)
    label_weight: Positive = "1"
    balance_labels: bool = False
    curriculum_share: Share = "0"
    share_prefix: bool = False
    selection: Selection | None = None
    lora: Lora | None = None


class SftStage(SftSettings):
    """Supervised fine-tuning of the generative model on label pairs and, think-first, on their reasoning traces."""

    kind: Literal["sft"] = "sft"


class DistillStage(WireModel):
    """A four-class cross-encoder student, fine-tuned on gold labels and, where `teacher` is given, on its scores."""

    kind: Literal["distill"] = "distill"
    base: ArtifactRef
    teacher: ArtifactRef | None = None
    optimizer: Optimizer = Optimizer(learning_rate="0.0001", max_steps=200)
    max_prompt_tokens: int = Field(default=128, ge=16, le=8192)
    selection: Selection | None = None


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
    sure first; those stay whose sampled answers are neither all right nor all wrong, with labels balanced.
    """

    method: AlignMethod = AlignMethod.GRPO
    preset: AlignPreset = AlignPreset.DYKNOW
    optimizer: AlignOptimizer = AlignOptimizer()
    reward: RewardSettings = RewardSettings()
    candidates: int = Field(default=2_048, ge=1, le=10_000_000)
    below: Share = "0.7"
    guard_every: int = Field(default=20, ge=1)


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


class BenchmarkInput(WireModel):
    """A benchmark by uri and digest, its subsets, and how rules are shown."""

    uri: str
    digest: Digest | None = None
    credentials: str | None = None
    subsets: tuple[str, ...] = ("general",)
    rule_mode: RuleMode = RuleMode.RETRIEVED

    @property
    def ref(self) -> ArtifactRef:
        """The benchmark's artifact."""
        return ArtifactRef(uri=self.uri, digest=self.digest, credentials=self.credentials)


GateMetric = Literal[
    "Accuracy4", "Accuracy2", "MacroF1", "WeightedF1", "F1", "Precision", "Recall", "QuadraticKappa", "MeanAbsoluteError",
    "CalibrationError", "LowConfidence", "TierMacroF1", "NDCG5", "NDCG10", "QueryAUC", "CrossTierInversion", "RuleFlip",
    "ParseRate", "Leakage",
]  # fmt: skip
"""What a gate can be about; docs/evaluation.md says what each is."""
LABEL_METRICS: Final = ("F1", "Precision", "Recall")
REGRESSION_METRICS: Final = ("Accuracy4", "Accuracy2", "MacroF1", "F1", "RuleFlip", "ParseRate")
"""Shares of pairs or of classes, whose least believable error is known; only these can be held against a champion."""


class Gate(WireModel):
    """One condition on one metric over one slice.

    The slice is the conjunction of the selectors given (`subset`, `label` for per-class metrics, `where` for any record
    field such as `market` or the capability cells `needs.rule`). Exactly one of `min`, `max`, `max_regression` is set;
    a regression is champion minus candidate in the metric's own unit, and passes where the interval's far end stays
    within the bound.
    """

    name: Name
    metric: GateMetric
    subset: str | None = None
    label: LabelName | None = None
    where: dict[str, str] = {}
    min: Decimal | None = None
    max: Decimal | None = None
    max_regression: Decimal | None = None
    confidence: Confidence = "0.95"
    min_queries: int = Field(default=50, ge=1)
    min_samples: int = Field(default=0, ge=0)
    severity: Literal["Required", "Advisory"] = "Required"
    on_missing: Literal["Fail", "Inconclusive"] = "Inconclusive"

    @model_validator(mode="after")
    def _one_bound(self) -> "Gate":
        given = [bound for bound in (self.min, self.max, self.max_regression) if bound is not None]
        if len(given) != 1:
            raise ValueError(f"gate {self.name}: give exactly one of min, max, maxRegression")
        if (self.label is None) == (self.metric in LABEL_METRICS):
            raise ValueError(f"gate {self.name}: label goes with {', '.join(LABEL_METRICS)} and with no other metric")
        if self.max_regression is not None and self.metric not in REGRESSION_METRICS:
            raise ValueError(
                f"gate {self.name}: maxRegression goes with {', '.join(REGRESSION_METRICS)}; give {self.metric} a min or max"
            )
        return self


def gate_set_digest(gates: Iterable[Gate]) -> str:
    """Digest of a set of gates, whatever their order; a verdict is bound to it."""
    ordered = sorted(gates, key=lambda gate: gate.name)
    return sha256_digest(
        canonical_json([gate.model_dump(mode="json", by_alias=True, exclude_none=True) for gate in ordered])
    )


class Champion(WireModel):
    """What a candidate is compared with: the evidence of an earlier evaluation on the same benchmark."""

    name: str
    evidence: ArtifactRef


class Generation(WireModel):
    """The generated-answer protocol: the model writes its whole answer greedily, and the label is read after its reasoning.

    `samples` further answers at `temperature` are asked for pass@k, k being their number; `max_answer_tokens` bounds what
    follows the reasoning, `max_reasoning_tokens` the reasoning of a model whose contract does not bound it.
    """

    max_answer_tokens: int = Field(default=32, ge=1, le=4096)
    max_reasoning_tokens: int = Field(default=1024, ge=1, le=32_768)
    samples: int = Field(default=0, ge=0, le=64)
    temperature: Decimal = "1.0"


class Signing(WireModel):
    """The verdict is signed. `credentials` is the mounted Secret's folder; its key `signing.pem` is an Ed25519 private key.

    The signature holds for `valid_seconds`. `custom_runner` says that another image than the profile's computes the verdict.
    """

    credentials: str
    valid_seconds: int = Field(ge=60, le=10 * 366 * 86_400)
    custom_runner: bool = False


class EvaluateConfig(WireModel):
    """`lore evaluate`: score one model on one benchmark, apply the gates, write report and evidence.

    The model is an artifact, served in the pod or where it is `served_at`; or it answers at an `endpoint`, generated answers
    only. With `training_data`, the `pairs` artifact that the model was trained on, each pair is checked for a leaked query. With
    `generation` answers are generated whole; without it a label is the most probable of the four label tokens.
    """

    evaluation: Name
    model: ArtifactRef | None = None
    model_name: str = Field(min_length=1, max_length=256)
    profile: ServingProfile | None = None
    served_at: ServedAt | None = None
    endpoint: JudgedEndpoint | None = None
    benchmark: BenchmarkInput
    rule_set: ArtifactRef | None = None
    training_data: ArtifactRef | None = None
    generation: Generation | None = None
    gates: tuple[Gate, ...] = ()
    gate_set_digest: Digest
    champion: Champion | None = None
    workspace: ArtifactRef
    input_key: Digest
    shards: int = Field(default=1, ge=1, le=1024)
    resamples: int = Field(default=1000, ge=100, le=100_000)
    seed: int = 17
    signing: Signing | None = None

    @model_validator(mode="after")
    def _one_subject(self) -> "EvaluateConfig":
        if (self.model is None) == (self.endpoint is None):
            raise ValueError("give exactly one of model, endpoint")
        if (self.model is None) != (self.profile is None):
            raise ValueError("profile: a model has one, an endpoint has none that could be known")
        if self.served_at is not None and self.model is None:
            raise ValueError("servedAt: name the model that is served there")
        if self.signing is not None and (self.model is None or self.served_at is not None):
            raise ValueError("signing: only what is computed from a model's own bytes is signed; leave it out")
        if self.endpoint is not None:
            _check_asked(self.endpoint, self.generation, self.training_data)
        return self

    @property
    def requests(self) -> ArtifactRef:
        """Where an endpoint's answers are kept by the content of their requests, so that none is paid twice."""
        assert self.endpoint is not None
        return self.workspace.child(f"endpoint-answers/{self.endpoint.identity.removeprefix('sha256:')[:20]}")

    @property
    def output(self) -> ArtifactRef:
        """Where the evidence goes."""
        return self.workspace.child(f"evidence/{self.input_key.removeprefix('sha256:')[:20]}")

    def part(self, number: int) -> ArtifactRef:
        """Where the answers of one part of the benchmark go, so that an equal evaluation that was stopped goes on there."""
        return self.workspace.child(f"answers/{self.input_key.removeprefix('sha256:')[:20]}/part-{number:05d}")


def _check_asked(endpoint: JudgedEndpoint, generation: Generation | None, training: ArtifactRef | None) -> None:
    if generation is None:
        raise ValueError("generation: an endpoint's answers are generated; say how long they may be")
    if endpoint.reasoning_model and generation.samples:
        raise ValueError("generation.samples: a reasoning model takes no seed, its samples could not be told apart")
    if training is not None:
        raise ValueError("trainingData: what an endpoint's model was trained on is not known; leave it out")


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
