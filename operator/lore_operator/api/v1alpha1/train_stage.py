"""The stages of a RelevanceTrainJob: what each kind does, its knobs, and what becomes of its model."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from lore_core.jobs.config import (
    OVERLAP_NEEDED,
    AlignMethod,
    AlignSettings,
    Capability,
    DistillSettings,
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
from lore_core.jobs.teaching import TEACHER_NEEDED
from lore_operator.api.v1alpha1.common import SECRET_ROOT, ApiModel, ArtifactRef, DeletionPolicy, LocalReference
from lore_operator.api.v1alpha1.schema_hints import Rule, cel, exactly_one, list_set

_KINDS = ("synthesize", "sft", "align", "distill", "quantize")


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
_OVERLAPPING = Rule("!self.showOverlap || self.student == 'Classifier'", OVERLAP_NEEDED)


class Distill(DistillSettings):
    """A student, trained on gold labels and, with a teacher, on its scores."""

    model_config = ConfigDict(json_schema_extra=cel(_TAUGHT, _OVERLAPPING))

    base: ArtifactRef
    """Model that the student starts from."""
    from_: Name | None = Field(default=None, alias="from")
    """Earlier stage whose model is the teacher."""
    optimizer: DistillOptimizer = DistillOptimizer()
    """Learning rate, steps, batch."""

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
