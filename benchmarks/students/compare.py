"""From scores to figures: a student against its teacher and against gold alone, by what serves a query; and the targets. Pure.

Seeds are pooled: a seed's world has queries of its own, and whole queries are drawn. Bounds are one-sided, at 95 % each.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.ablation.compare import ACCURACY, RESAMPLES, SEED, gain, points
from benchmarks.students.runs import GOLD, STUDENT, TEACHER, Scores
from lore_core.evaluation.fidelity import fidelity_counts
from lore_core.evaluation.measured import Measured
from lore_core.evaluation.slices import Slice
from lore_core.evaluation.table import PairTable
from lore_core.records import LABELS, Pair

TORSO, HEAD, TEXT, VISUAL, ALL = "torso", "head misses", "all but Visual", "Visual", "all"
PARTS: Final[Mapping[str, Mapping[str, str]]] = {
    TORSO: {"part": TEXT, "stratum": "torso"},
    HEAD: {"part": TEXT, "stratum": "head"},
    TEXT: {"part": TEXT},
    VISUAL: {"part": VISUAL},
    ALL: {},
}
"""What is told apart. Any pair of a head query may be missed by a cache, so all of them stand for the misses."""
HARM, AGREEMENT, RANKING, TEACHERS = -0.02, 0.90, 0.90, 0.90
_MILLION: Final = 1_000_000


@dataclass(frozen=True)
class Seed:
    """What is known of one seed: the gate's pairs, the stratum of each query, and the scores of teacher and students."""

    pairs: Sequence[Pair]
    strata: Mapping[str, str]
    scores: Mapping[str, Scores]


Seeds = Mapping[int, Seed]


@dataclass(frozen=True)
class Difference:
    """By how much the student's Accuracy@2 is above another's, with its bounds."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Figures:
    """One part of the gate: Accuracy@2 by arm, and how the student compares with teacher and with gold alone."""

    pairs: int
    queries: int
    accuracy: Mapping[str, float]
    to_teacher: Difference
    to_gold: Difference
    agreement: float
    ranking: float


@dataclass(frozen=True)
class Verdict:
    """One target with its figure, and whether it is reached."""

    target: str
    figure: str
    reached: bool


def table(seeds: Seeds, arm: str, *, by_market: bool = False) -> PairTable:
    """An arm's answers. A query's two markets are one cluster but, `by_market`, two lists: each shows its own."""
    rows = [
        (
            f"{number}/{pair.id}",
            _cluster(number, pair, by_market),
            pair,
            seed.strata[pair.query],
            seed.scores[arm][pair.id],
        )
        for number, seed in seeds.items()
        for pair in seed.pairs
    ]
    ids, queries, pairs, strata, scores = zip(*rows, strict=True)
    probabilities = np.array(scores, dtype=np.float64)
    unknown = np.full(len(rows), np.nan)
    return PairTable.build(
        ids,
        queries,
        [LABELS.index(pair.groundtruth) for pair in pairs],
        [int(best) for best in probabilities.argmax(axis=1)],
        {"part": [VISUAL if pair.subset == "visual" else TEXT for pair in pairs], "stratum": strata},
        measured=Measured(probabilities, unknown, unknown, unknown),
    )


def _cluster(seed: int, pair: Pair, by_market: bool) -> str:
    return f"{seed} {pair.query} {pair.market}" if by_market else f"{seed} {pair.query}"


def figures(seeds: Seeds) -> dict[str, Figures]:
    """Every part that has pairs, of the seeds together."""
    tables = {arm: table(seeds, arm) for arm in (TEACHER, STUDENT, GOLD)}
    lists = {arm: table(seeds, arm, by_market=True) for arm in (TEACHER, STUDENT)}
    return {name: _figures(tables, lists, where) for name, where in PARTS.items() if tables[STUDENT].mask(where).any()}


def _figures(tables: Mapping[str, PairTable], lists: Mapping[str, PairTable], where: Mapping[str, str]) -> Figures:
    parts = {arm: whole.select(where) for arm, whole in tables.items()}
    listed = {arm: whole.select(where) for arm, whole in lists.items()}
    pairs, same, _, ranked, correlation = fidelity_counts(listed[STUDENT], listed[TEACHER]).sum(axis=0)
    return Figures(
        pairs=len(parts[STUDENT]),
        queries=parts[STUDENT].queries,
        accuracy={arm: Slice(part, None, RESAMPLES, SEED).value(ACCURACY) for arm, part in parts.items()},
        to_teacher=_difference(parts[STUDENT], parts[TEACHER]),
        to_gold=_difference(parts[STUDENT], parts[GOLD]),
        agreement=float(same / pairs),
        ranking=float(correlation / _MILLION / ranked) if ranked else math.nan,
    )


def _difference(student: PairTable, other: PairTable) -> Difference:
    return Difference(*gain(Slice(student, other, RESAMPLES, SEED), ACCURACY))


def verdicts(found: Mapping[str, Figures]) -> list[Verdict]:
    """The targets; one without pairs to be judged on is missed."""
    follows = [_follows(name, found.get(name)) for name in (TORSO, HEAD)]
    text, whole = found[TEXT], found[ALL].accuracy[TEACHER]
    return [
        *follows,
        Verdict(f"4-way agreement at least {AGREEMENT:.2f}", f"{text.agreement:.3f}", text.agreement >= AGREEMENT),
        Verdict(f"rank correlation at least {RANKING:.2f}", f"{text.ranking:.3f}", text.ranking >= RANKING),
        Verdict("student above gold alone: bound above 0", points(text.to_gold), text.to_gold.low > 0),
        Verdict(f"teacher's Accuracy@2 at least {TEACHERS:.2f}", f"{whole:.3f}", whole >= TEACHERS),
    ]


def _follows(name: str, part: Figures | None) -> Verdict:
    target = f"student - teacher, {name}: bound at least {100 * HARM:+.0f}"
    if part is None:
        return Verdict(target, "no pairs", reached=False)
    return Verdict(target, f"{points(part.to_teacher)}, {part.queries} queries", part.to_teacher.low >= HARM)
