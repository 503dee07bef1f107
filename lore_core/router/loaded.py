"""A configuration with everything it names in memory: what requests are answered from. Built aside, then swapped in whole."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import mul
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from lore_core.headcache.generation import JSON_NAME as HEAD_JSON
from lore_core.headcache.generation import HeadGeneration
from lore_core.headcache.items import Features, content_hash, item_hash, read_features
from lore_core.headcache.reuse import Scorer
from lore_core.prompts import ModelKit, RuleSource
from lore_core.prompts.contract import Calibration as ContractCalibration
from lore_core.records.label import LABELS
from lore_core.router.config import (
    STRATA,
    Calibration,
    Composition,
    HeadStore,
    NeutralAnswer,
    PinnedRef,
    PredictorTier,
    RouterConfig,
    Stratum,
)
from lore_core.router.decision import Chain, Choice, chain
from lore_core.router.guard import Guard, GuardLimits
from lore_core.router.heads import Store
from lore_core.router.predictor import Predictor
from lore_core.router.shelf import KIT_FILES, Shelf
from lore_core.router.upstream import Upstream
from lore_core.rules import RuleSet
from lore_core.scoring.scores import expected_grade
from lore_core.strata.snapshot import StrataSnapshot, traffic_shares

Array = npt.NDArray[np.float64]
_LABELS: Final = tuple(label.value for label in LABELS)
_FEW: Final = 4


class KnownItem(msgspec.Struct, frozen=True):
    """An item of the snapshot with the hashes that find its score."""

    item: Features
    identity: int
    content: int


Items = dict[str, KnownItem]


class Graded(NamedTuple):
    """n items: the likeliest label, probabilities of L1 L2 L3 L4, and a comparable grade of each."""

    labels: list[str]
    probabilities: list[Sequence[float]]
    grades: list[float]


class Grader:
    """Probabilities to labels and comparable grades: the contract's expected grade, then the composition's line."""

    def __init__(self, contract: ContractCalibration, line: Calibration | None) -> None:
        knots = line.knots if line is not None else ()
        self._contract = contract
        self._plain = float(contract.temperature) == 1.0
        self._grades = np.array([float(grade) for grade in contract.grades])
        self._each = self._grades.tolist()
        self._raw = [float(knot.raw) for knot in knots]
        self._calibrated = [float(knot.calibrated) for knot in knots]

    def graded(self, scores: Sequence[Sequence[float]]) -> Graded:
        """As `graded_all`. A few at temperature 1 without a line are summed here: vectors take longer to set up."""
        if len(scores) > _FEW or self._raw or not self._plain:
            return self.graded_all(np.array(scores))
        labels = [_LABELS[score.index(max(score))] for score in scores]
        grades = [sum(map(mul, score, self._each)) for score in scores]
        return Graded(labels, list(scores), grades)

    def graded_all(self, probabilities: Array) -> Graded:
        """N×4 probabilities with labels and grades in the contract's unit, usually 1 to 4."""
        labels = [_LABELS[best] for best in probabilities.argmax(axis=1).tolist()]
        # At temperature 1 the calibrated probabilities are the probabilities.
        grades = probabilities @ self._grades if self._plain else expected_grade(probabilities, self._contract)
        lined = np.interp(grades, self._raw, self._calibrated) if self._raw else grades
        return Graded(labels, probabilities.tolist(), lined.tolist())


@dataclass(frozen=True, slots=True)
class LoadedComposition:
    """One composition, ready to answer. `shares` of traffic are those of the log that its snapshot was built from, if it says."""

    composition: Composition
    strata: StrataSnapshot
    shares: dict[Stratum, float] | None
    items: Items
    head: HeadGeneration | None
    store: Store | None
    predictors: dict[Stratum, Predictor]
    graders: dict[Stratum, Grader]
    chains: dict[Stratum, Chain]

    @property
    def pictures(self) -> bool:
        """Whether any of its models is shown items' pictures."""
        return any(predictor.shows_pictures for predictor in self.predictors.values())


@dataclass(frozen=True, slots=True)
class Neutral:
    """The declared neutral answer as numbers."""

    label: str
    probabilities: list[float]
    grade: float

    @classmethod
    def of(cls, declared: NeutralAnswer) -> "Neutral":
        """From the configuration."""
        return cls(declared.label, [float(p) for p in declared.probabilities], float(declared.grade))


@dataclass(frozen=True, slots=True)
class Serving:
    """What the router serves at one moment. Never changed, only replaced.

    `alone` has the choice for each stratum where only the stable composition carries weight, as most of the time.
    """

    config: RouterConfig
    config_hash: str
    compositions: dict[str, LoadedComposition]
    neutral: Neutral
    alone: dict[Stratum, Choice] | None


class Library:
    """Loaded artifacts and connection pools, shared by consecutive configurations so that a new weight loads nothing."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._objects: dict[tuple[str, str], Any] = {}
        self._upstreams: dict[tuple[str, int], Upstream] = {}
        self._stores: dict[tuple[HeadStore, Scorer], Store] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._guards: dict[tuple[str, GuardLimits], Guard] = {}
        self._used: set[Any] = set()

    def load(self, config: RouterConfig) -> Serving:
        """Everything a config names, from the shelf. Raises NotFound, DigestMismatch or a ValueError of the file at fault.

        Reads and hashes files: call it outside the event loop.
        """
        self._used = set()
        compositions = {c.revision: self._composition(c) for c in config.compositions}
        stable = config.stable_composition()
        alone = (
            {stratum: Choice(stable, stratum, stratum) for stratum in STRATA} if config.candidate() is None else None
        )
        return Serving(config, config.content_digest(), compositions, Neutral.of(config.neutral), alone)

    def forget_unused(self) -> None:
        """Drop what the last `load` did not use. Call it in the event loop, once that configuration serves."""
        self._objects = {key: value for key, value in self._objects.items() if key in self._used}
        self._guards = {key: guard for key, guard in self._guards.items() if key in self._used}
        for key in [key for key in self._upstreams if key not in self._used]:
            self._upstreams.pop(key).retire()
        for place in [place for place in self._stores if place not in self._used]:
            task = asyncio.ensure_future(self._stores.pop(place).retire())
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def close(self) -> None:
        """Close the connections to all predictors and stores."""
        for upstream in self._upstreams.values():
            upstream.retire()
        await asyncio.gather(*self._retiring, *(store.retire() for store in self._stores.values()))
        self._upstreams, self._stores = {}, {}

    def _composition(self, composition: Composition) -> LoadedComposition:
        rules = self._object(composition.rule_set, None, RuleSet.load) if composition.rule_set else None
        predictors: dict[Stratum, Predictor] = {}
        graders: dict[Stratum, Grader] = {}
        for stratum, tier in composition.tiers.present().items():
            if tier.predictor is not None:
                kit = self._object(tier.predictor.kit, KIT_FILES, ModelKit.load)
                predictors[stratum] = self._predictor(composition, stratum, tier.predictor, kit, rules)
                graders[stratum] = Grader(kit.contract.calibration, composition.calibration.get(stratum))
        head = None
        if composition.head is not None:
            head, calibration = self._object(composition.head, None, _open_head)
            graders["head"] = Grader(calibration, composition.calibration.get("head"))
        store = None
        if composition.head_store is not None:
            store, calibration = self._store(composition, composition.head_store)
            graders["head"] = Grader(calibration, composition.calibration.get("head"))
        strata, shares = self._object(composition.strata, None, _open_strata)
        items = self._object(composition.items, None, _open_items) if composition.items else {}
        chains = {stratum: chain(composition.tiers, stratum) for stratum in STRATA}
        return LoadedComposition(composition, strata, shares, items, head, store, predictors, graders, chains)

    def _predictor(
        self, composition: Composition, stratum: Stratum, tier: PredictorTier, kit: ModelKit, rules: RuleSet | None
    ) -> Predictor:
        try:
            return Predictor(
                tier, kit, RuleSource(kit.contract.rule_mode, rules), self._upstream(tier), self._guard(tier)
            )
        except ValueError as error:
            raise ValueError(f"composition {composition.revision}: {stratum}: {error}") from error

    def _store(self, composition: Composition, given: HeadStore) -> tuple[Store, ContractCalibration]:
        """The store, with the calibration of the model that scored what it holds."""
        tier = composition.tiers.present()[given.scored_by].predictor
        assert tier is not None  # the config holds: only head is a cache
        kit = self._object(tier.kit, KIT_FILES, ModelKit.load)
        rules = composition.rule_set.digest if composition.rule_set is not None else ""
        scorer = Scorer(tier.kit.digest, kit.contract.prompt_digest, rules, given.profile)
        self._used.add(key := (given, scorer))
        return self._stores.setdefault(key, Store(given, scorer)), kit.contract.calibration

    def _upstream(self, tier: PredictorTier) -> Upstream:
        key = (tier.url, tier.max_connections)
        self._used.add(key)
        if key not in self._upstreams:
            self._upstreams[key] = Upstream(*key)
        return self._upstreams[key]

    def _guard(self, tier: PredictorTier) -> Guard:
        """A backend's guard remembers its failures over configurations that leave its limits alone."""
        given = tier.guard
        pause, ratio = given.breaker_pause_ms / 1000, given.retry_percent / 100
        key = (tier.url, GuardLimits(given.max_questions, given.breaker_failures, pause, ratio))
        self._used.add(key)
        return self._guards.setdefault(key, Guard(key[1]))

    def _object(self, ref: PinnedRef, only: tuple[str, ...] | None, opened: Callable[[Path], Any]) -> Any:
        key = (ref.digest, opened.__qualname__)
        self._used.add(key)
        if key not in self._objects:
            self._objects[key] = opened(self._shelf.checked(ref, only))
        return self._objects[key]


def _open_strata(folder: Path) -> tuple[StrataSnapshot, dict[Stratum, float] | None]:
    return StrataSnapshot.open(folder), traffic_shares(folder)


def _open_head(folder: Path) -> tuple[HeadGeneration, ContractCalibration]:
    description = json.loads((folder / HEAD_JSON).read_bytes())
    return HeadGeneration.open(folder), ContractCalibration.model_validate(description["calibration"])


def _open_items(folder: Path) -> Items:
    """Items of which there is something to show; the others are as unknown as if they were not there."""
    found = ((name, item) for name, item in read_features(folder) if item.shows_something)
    return {name: KnownItem(item, item_hash(name), content_hash(item)) for name, item in found}
