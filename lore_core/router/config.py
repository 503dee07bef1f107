"""The router's configuration: what the operator writes into the ConfigMap's key `router.json`, and nothing else.

Its `content_digest()` is the configHash that the router acknowledges on `/state`: equal hash, everything named here is loaded
and serves.
"""

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from lore_core.artifacts.ref import ArtifactRef, Digest
from lore_core.jobs.config import Decimal, LabelName, Name, WireModel
from lore_core.prompts.contract import PromptLayout

CONFIG_KEY: Final = "router.json"
CONFIG_MAP_VARIABLE: Final = "LORE_ROUTER_CONFIGMAP"
"""Environment of router and loader: NAMESPACE/NAME of the ConfigMap to watch."""
FULL_WEIGHT: Final = 100

Stratum = Literal["head", "torso", "tail"]
STRATA: Final[tuple[Stratum, ...]] = ("head", "torso", "tail")
PredictorStratum = Literal["torso", "tail"]
Weight = Annotated[int, Field(ge=0, le=FULL_WEIGHT)]


class PinnedRef(ArtifactRef):
    """An artifact whose digest is known: the router serves nothing else."""

    digest: Digest


class Route(StrEnum):
    """Which of the predictor's HTTP routes scores a pair."""

    COMPLETIONS = "Completions"
    CLASSIFY = "Classify"
    EMBEDDINGS = "Embeddings"


_STUDENTS: Final = {PromptLayout.CLASSIFIER: Route.CLASSIFY, PromptLayout.TWO_TOWER: Route.EMBEDDINGS}


def route_of(layout: PromptLayout) -> Route:
    """The route that scores with a model of that layout."""
    return _STUDENTS.get(layout, Route.COMPLETIONS)


class TierPolicy(StrEnum):
    """What an incomplete head answer does: `PerQuery` sends the whole query to `onMiss`, `PerItem` only the items missed."""

    PER_QUERY = "PerQuery"
    PER_ITEM = "PerItem"


class CacheTier(WireModel):
    """Answers from the composition's head generation; what it lacks goes to the tier `on_miss`."""

    on_miss: PredictorStratum = "torso"


class TierGuard(WireModel):
    """What a tier may take: beyond `max_questions` at once it is passed over; after `breaker_failures` in a row it rests.

    It rests for `breaker_pause_ms`; then one question probes it. A request that takes longer than `hedge_ms` is sent once
    more, and the first answer counts. `retry_percent` bounds these and the retries of broken connections and 5xx answers
    together, as a share of questions.
    """

    max_questions: int = Field(default=128, ge=1, le=65_536)
    breaker_failures: int = Field(default=10, ge=1, le=10_000)
    breaker_pause_ms: int = Field(default=1_000, ge=1, le=600_000)
    retry_percent: int = Field(default=10, ge=0, le=100)
    hedge_ms: int | None = Field(default=None, ge=1, le=600_000)


class PredictorTier(WireModel):
    """Answers from a vLLM server.

    `url` is its base address, `model_name` the name it serves the model under. `kit` is the model artifact: the router takes
    `lore-contract.json` and `tokenizer.json` from it, never the weights. `deadline_ms` bounds the whole tier, every
    batch of one query included. `fallback` lists tiers of the same composition to try next, in order. A tier that `rests`
    is not asked, since its predictor is being replaced: its fallback answers.
    """

    url: str = Field(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$", max_length=1024)
    model_name: str = Field(min_length=1, max_length=256)
    kit: PinnedRef
    route: Route
    deadline_ms: int = Field(ge=1, le=600_000)
    fallback: tuple[PredictorStratum, ...] = ()
    max_connections: int = Field(default=32, ge=1, le=4096)
    guard: TierGuard = TierGuard()
    rests: Literal[True] | None = None


class Tier(WireModel):
    """What answers one stratum: exactly one of a cache and a predictor."""

    cache: CacheTier | None = None
    predictor: PredictorTier | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "Tier":
        if (self.cache is None) == (self.predictor is None):
            raise ValueError("give exactly one of cache, predictor")
        return self


class Tiers(WireModel):
    """A tier per stratum. Only `tail` is required; a stratum without a tier is answered by the next one down."""

    head: Tier | None = None
    torso: Tier | None = None
    tail: Tier

    @model_validator(mode="after")
    def _tiers_named_exist(self) -> "Tiers":
        if (self.torso and self.torso.cache) or self.tail.cache:
            raise ValueError("only head can be a cache")
        for stratum, tier in self.present().items():
            for other in _tiers_named(tier):
                if getattr(self, other) is None or other == stratum:
                    raise ValueError(f"{stratum}: cannot fall to {other}, which is {_why_not(other, stratum)}")
        resting = self.resting()
        for stratum in resting:
            if not set(_tiers_named(self.present()[stratum])) - resting:
                raise ValueError(f"{stratum}: rests without a fallback that is asked")
        return self

    def resting(self) -> frozenset[Stratum]:
        """Strata whose tier is not asked now."""
        present = self.present().items()
        return frozenset(stratum for stratum, tier in present if tier.predictor and tier.predictor.rests)

    def present(self) -> dict[Stratum, Tier]:
        """The tiers that exist, in the order head, torso, tail."""
        found: dict[Stratum, Tier | None] = {"head": self.head, "torso": self.torso, "tail": self.tail}
        return {stratum: tier for stratum, tier in found.items() if tier is not None}


def _tiers_named(tier: Tier) -> tuple[PredictorStratum, ...]:
    if tier.cache is not None:
        return (tier.cache.on_miss,)
    return tier.predictor.fallback if tier.predictor is not None else ()


def _why_not(other: str, stratum: str) -> str:
    return "the same tier" if other == stratum else "not there"


class Knot(WireModel):
    """One point of a calibration line: an expected grade as the model's contract gives it, and the comparable one."""

    raw: Decimal
    calibrated: Decimal


class Calibration(WireModel):
    """Makes the grades of different tiers comparable: the line that joins `knots`, its ends extended flat.

    What goes in is the expected grade under the serving contract of the model that scored. No knots: it comes out unchanged.
    """

    knots: tuple[Knot, ...] = ()

    @model_validator(mode="after")
    def _rises(self) -> "Calibration":
        raw, calibrated = [float(k.raw) for k in self.knots], [float(k.calibrated) for k in self.knots]
        if raw != sorted(set(raw)) or calibrated != sorted(calibrated):
            raise ValueError("knots must rise in raw and must not fall in calibrated")
        return self


class StratumWeights(WireModel):
    """The share, in percent, of each stratum's queries that a composition answers."""

    head: Weight = 0
    torso: Weight = 0
    tail: Weight = 0

    def of(self, stratum: Stratum) -> int:
        """The weight of one stratum."""
        weight: int = getattr(self, stratum)
        return weight


class HeadStore(WireModel):
    """A Redis or Valkey server that holds head scores in place of a generation.

    Only scores count that the model of `scored_by` made, with its prompt, the composition's rules and the serving profile of
    that digest. `credentials` is a folder with username, password and ca.crt, all optional. What does not answer within
    `timeout_ms` is a miss.
    """

    url: str = Field(pattern=r"^rediss?://[^\s@]+$", max_length=1024)
    scored_by: PredictorStratum = "tail"
    profile: Digest
    timeout_ms: int = Field(default=20, ge=1, le=60_000)
    credentials: str | None = None


class Composition(WireModel):
    """Everything one answer is made from: strata snapshot, tiers, head generation, items, rules, calibration per tier.

    Of the stable composition's queries, `shadow_percent` are answered by this one too, to be compared and not to be shown.
    """

    revision: Name
    weights: StratumWeights
    strata: PinnedRef
    items: PinnedRef | None = None
    head: PinnedRef | None = None
    head_store: HeadStore | None = None
    rule_set: PinnedRef | None = None
    tiers: Tiers
    shadow_percent: Annotated[int, Field(ge=1, le=FULL_WEIGHT)] | None = None
    calibration: dict[Stratum, Calibration] = {}

    @model_validator(mode="after")
    def _generation_with_cache(self) -> "Composition":
        cached = self.tiers.head is not None and self.tiers.head.cache is not None
        given = [source for source in (self.head, self.head_store) if source is not None]
        if len(given) != int(cached):
            raise ValueError(
                f"composition {self.revision}: a head generation, or a headStore, goes with tiers.head.cache, and the reverse"
            )
        store = self.head_store
        if store is not None and getattr(self.tiers, store.scored_by) is None:
            raise ValueError(f"composition {self.revision}: headStore.scoredBy {store.scored_by} is not there")
        return self

    def data(self) -> tuple[PinnedRef, ...]:
        """The artifacts that are needed whole."""
        return tuple(ref for ref in (self.strata, self.items, self.head, self.rule_set) if ref is not None)

    def kits(self) -> tuple[PinnedRef, ...]:
        """The model artifacts whose contract and tokenizer are needed."""
        return tuple(tier.predictor.kit for tier in self.tiers.present().values() if tier.predictor)


class NeutralAnswer(WireModel):
    """What an item gets when no tier answered in time; `probabilities` in the order L1 L2 L3 L4."""

    label: LabelName = "L2"
    probabilities: tuple[Decimal, Decimal, Decimal, Decimal] = ("0.25", "0.25", "0.25", "0.25")
    grade: Decimal = "2.5"

    @model_validator(mode="after")
    def _is_a_distribution(self) -> "NeutralAnswer":
        values = [float(p) for p in self.probabilities]
        if min(values) < 0 or abs(sum(values) - 1.0) > 1e-6:
            raise ValueError("neutral.probabilities must be at least 0 and sum to 1")
        return self


class Limits(WireModel):
    """What a request may weigh; beyond it the answer is a 4xx that names the field. Lengths are in characters."""

    max_body_bytes: int = Field(default=4 << 20, ge=1024, le=64 << 20)
    max_items: int = Field(default=1000, ge=1, le=1000)
    max_query_length: int = Field(default=1024, ge=1, le=16_384)
    max_id_length: int = Field(default=256, ge=1, le=4096)
    max_text_length: int = Field(default=16_384, ge=1, le=1 << 20)


class RouterConfig(WireModel):
    """The whole configuration. Weights of a stratum sum to 100; beside the stable composition at most one carries weight."""

    format_version: Literal[1] = 1
    deployment: Name
    stable: Name
    compositions: tuple[Composition, ...] = Field(min_length=1, max_length=8)
    tier_policy: TierPolicy = TierPolicy.PER_QUERY
    split_by: Literal["Bucket"] | None = None
    """Whose hash weights apply to: the query's, or that of the caller's header x-lore-bucket where it is given."""
    neutral: NeutralAnswer = NeutralAnswer()
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _consistent(self) -> "RouterConfig":
        revisions = [composition.revision for composition in self.compositions]
        if len(set(revisions)) != len(revisions):
            raise ValueError("compositions: revisions must differ")
        if self.stable not in revisions:
            raise ValueError(f"stable: {self.stable} is not among the compositions {revisions}")
        for stratum in STRATA:
            total = sum(composition.weights.of(stratum) for composition in self.compositions)
            if total != FULL_WEIGHT:
                raise ValueError(f"weights of {stratum} sum to {total}, not to {FULL_WEIGHT}")
        if len(self._weighted_candidates()) > 1:
            raise ValueError("at most one composition beside the stable one may carry weight")
        shadowed = [c.revision for c in self.compositions if c.shadow_percent is not None]
        if len(shadowed) > 1 or self.stable in shadowed:
            raise ValueError("at most one composition may be shadowed, and not the stable one")
        return self

    def _weighted_candidates(self) -> list[Composition]:
        return [c for c in self.compositions if c.revision != self.stable and any(map(c.weights.of, STRATA))]

    def stable_composition(self) -> Composition:
        """The composition whose snapshot gives the stratum that a weight applies to."""
        return next(c for c in self.compositions if c.revision == self.stable)

    def candidate(self) -> Composition | None:
        """The one other composition that carries weight, if any."""
        return next(iter(self._weighted_candidates()), None)

    def shadowed(self) -> Composition | None:
        """The composition that answers beside the stable one, unseen."""
        return next((c for c in self.compositions if c.shadow_percent is not None), None)

    def serving_part(self) -> "RouterConfig":
        """The config without compositions that carry no weight and are not stable: what a cold start can serve first."""
        kept = tuple(c for c in self.compositions if c.revision == self.stable or any(map(c.weights.of, STRATA)))
        return self.model_copy(update={"compositions": kept})


class PendingConfig(WireModel):
    """A config that was read but does not serve yet, and why."""

    config_hash: Digest | None = None
    reason: str = ""


class RevisionStatistics(WireModel):
    """What one router saw of one revision since it came into its configuration.

    Of `answers`, `fallbacks` needed a later tier and `neutral` were given by none. Of `mirrored` questions (shadow),
    `mirrored_neutral` were answered by none; of the `compared_items` that both compositions scored, `agreeing_items` got the
    same label; `grade_difference` is the sum of the absolute differences of their grades.
    """

    answers: int = 0
    fallbacks: int = 0
    neutral: int = 0
    mirrored: int = 0
    mirrored_neutral: int = 0
    compared_items: int = 0
    agreeing_items: int = 0
    grade_difference: float = 0.0


class SnapshotTraffic(WireModel):
    """How one router's queries of the last 24 hours fell on the strata of the snapshot with digest `strata`.

    `expected` are the shares (0 to 1) of the log that the snapshot was built from.
    """

    strata: Digest
    expected: dict[Stratum, float]
    queries: dict[Stratum, int]


class RouterState(WireModel):
    """`/state`: what serves now. `config_hash` is null before the first config; `active` lists revisions with weight.

    `traffic` is null where the stable composition's snapshot does not tell its shares.
    """

    config_hash: Digest | None = None
    loaded: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    pending: PendingConfig | None = None
    statistics: dict[str, RevisionStatistics] = {}
    traffic: SnapshotTraffic | None = None
