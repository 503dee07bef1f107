"""Configs of evaluation: what is judged on what, the gates, and how answers are made."""

from collections.abc import Iterable
from typing import Final, Literal

from pydantic import Field, model_validator

from lore_core.artifacts.manifest import canonical_json, sha256_digest
from lore_core.artifacts.ref import ArtifactRef, Digest
from lore_core.jobs.config import JudgedEndpoint, RuleMode, ServedAt, ServingProfile
from lore_core.jobs.wire import Confidence, Decimal, LabelName, Name, WireModel


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
    "CalibrationError", "LowConfidence", "LowConfidenceError", "TierMacroF1", "NDCG5", "NDCG10", "QueryAUC",
    "CrossTierInversion", "RuleFlip", "ParseRate", "PassAt1", "MajorityAtK", "PassAtKAboveChance", "PassAtKChecked",
    "PromptTokens", "OutputTokens", "Leakage", "ItemGoodRate", "QueryGoodRate",
]  # fmt: skip
"""What a gate can be about; docs/evaluation.md says what each is."""
GOODRATE_METRICS: Final = ("ItemGoodRate", "QueryGoodRate")
"""Of served results; the others are of a benchmark."""
GOODRATE_SLICES: Final = ("day", "stratum")
"""What served results can be sliced by."""
SAMPLED_METRICS: Final = ("PassAt1", "MajorityAtK", "PassAtKAboveChance", "PassAtKChecked")
"""Of sampled answers, which `generation.samples` asks for."""
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
        if self.metric in GOODRATE_METRICS and (self.subset is not None or set(self.where) - set(GOODRATE_SLICES)):
            raise ValueError(f"gate {self.name}: {self.metric} is sliced by where.day and where.stratum alone")
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
        if wrong := [gate.name for gate in self.gates if gate.metric in GOODRATE_METRICS]:
            raise ValueError(f"gate {wrong[0]}: a benchmark has no GoodRate, served results have")
        return self

    @property
    def requests(self) -> ArtifactRef:
        """Where an endpoint's answers are kept by the content of their requests, so that none is paid twice."""
        assert self.endpoint is not None
        return endpoint_answers(self.workspace, self.endpoint)

    @property
    def output(self) -> ArtifactRef:
        """Where the evidence goes."""
        return self.workspace.child(f"evidence/{self.input_key.removeprefix('sha256:')[:20]}")

    def part(self, number: int) -> ArtifactRef:
        """Where the answers of one part of the benchmark go, so that an equal evaluation that was stopped goes on there."""
        return self.workspace.child(f"answers/{self.input_key.removeprefix('sha256:')[:20]}/part-{number:05d}")


def endpoint_answers(workspace: ArtifactRef, endpoint: JudgedEndpoint) -> ArtifactRef:
    """Where the answers of this endpoint are kept, whoever asks."""
    return workspace.child(f"endpoint-answers/{endpoint.identity.removeprefix('sha256:')[:20]}")


def _check_asked(endpoint: JudgedEndpoint, generation: Generation | None, training: ArtifactRef | None) -> None:
    if generation is None:
        raise ValueError("generation: an endpoint's answers are generated; say how long they may be")
    if endpoint.reasoning_model and generation.samples:
        raise ValueError("generation.samples: a reasoning model takes no seed, its samples could not be told apart")
    if training is not None:
        raise ValueError("trainingData: what an endpoint's model was trained on is not known; leave it out")
