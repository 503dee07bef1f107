"""Every metric by the name that gates and reports use: which counts it needs, how it is computed, what is better.

Metrics of one family are functions of the same per-query counts, so a slice resamples each family once, and only where one of
its metrics is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from lore_core.evaluation import confidence, cost, leaks, metrics, ranking, sampling
from lore_core.evaluation.measured import SAMPLED_COLUMNS, sorting_score
from lore_core.evaluation.metrics import LABELS, Floats
from lore_core.evaluation.table import PairTable

Counted = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Family:
    """Per-query counts, shape (queries, columns), that several metrics share."""

    name: str
    count: Callable[[PairTable], Floats]


@dataclass(frozen=True)
class Metric:
    """A metric of counts of shape (..., columns) -> (...). `rising`: whether more is better."""

    family: Family
    of: Counted
    rising: bool = True


def _labels(table: PairTable) -> Floats:
    return table.counts


def _confidence(table: PairTable) -> Floats:
    return confidence.confidence_counts(table.gold, table.answer, table.measured, table.query, table.queries)


def _tiers(table: PairTable) -> Floats:
    return confidence.tier_counts(table.gold, table.answer, table.measured, table.query, table.queries)


def _ranking(table: PairTable) -> Floats:
    score, tier = sorting_score(table.gold, table.answer, table.measured), table.fields.get("tier")
    codes = None if tier is None else np.where(tier.equal(""), -1, tier.codes)
    return ranking.ranking_counts(table.gold, score, table.query, table.queries, codes)


def _tokens(table: PairTable) -> Floats:
    return cost.token_counts(table.measured, table.query, table.queries)


def _latency(table: PairTable) -> Floats:
    return cost.latency_counts(table.measured, table.query, table.queries)


def _samples(table: PairTable) -> Floats:
    found = table.measured.sampled
    none = np.zeros((len(table), SAMPLED_COLUMNS))
    return sampling.sample_counts(none if found is None else found, table.query, table.queries)


LABEL_FAMILY: Final = Family("labels", _labels)
CONFIDENCE_FAMILY: Final = Family("confidence", _confidence)
TIER_FAMILY: Final = Family("tiers", _tiers)
RANKING_FAMILY: Final = Family("ranking", _ranking)
TOKEN_FAMILY: Final = Family("tokens", _tokens)
LATENCY_FAMILY: Final = Family("latency", _latency)
LEAK_FAMILY: Final = Family("leaks", leaks.leak_counts)
SAMPLE_FAMILY: Final = Family("samples", _samples)

METRICS: Final[dict[str, Metric]] = {
    "Accuracy4": Metric(LABEL_FAMILY, metrics.accuracy4),
    "Accuracy2": Metric(LABEL_FAMILY, metrics.accuracy2),
    "MacroF1": Metric(LABEL_FAMILY, metrics.macro_f1),
    "WeightedF1": Metric(LABEL_FAMILY, metrics.weighted_f1),
    "RuleFlip": Metric(LABEL_FAMILY, metrics.rule_flip),
    "ParseRate": Metric(LABEL_FAMILY, metrics.parse_rate),
    "QuadraticKappa": Metric(LABEL_FAMILY, metrics.quadratic_kappa),
    "MeanAbsoluteError": Metric(LABEL_FAMILY, metrics.mean_absolute_error, rising=False),
    "CalibrationError": Metric(CONFIDENCE_FAMILY, confidence.calibration_error, rising=False),
    "LowConfidence": Metric(CONFIDENCE_FAMILY, confidence.low_confidence, rising=False),
    "LowConfidenceError": Metric(CONFIDENCE_FAMILY, confidence.low_confidence_error, rising=False),
    "TierMacroF1": Metric(TIER_FAMILY, confidence.tier_macro_f1),
    **{f"NDCG{k}": Metric(RANKING_FAMILY, partial(ranking.mean_ndcg, cutoff=k)) for k in ranking.CUTOFFS},
    "QueryAUC": Metric(RANKING_FAMILY, ranking.mean_auc),
    "CrossTierInversion": Metric(RANKING_FAMILY, ranking.inversion_rate, rising=False),
    "Leakage": Metric(LEAK_FAMILY, leaks.leakage, rising=False),
    "PassAt1": Metric(SAMPLE_FAMILY, sampling.pass_at_1),
    "MajorityAtK": Metric(SAMPLE_FAMILY, sampling.majority_at_k),
    "PassAtKAboveChance": Metric(SAMPLE_FAMILY, sampling.pass_at_k_above_chance),
    "PassAtKChecked": Metric(SAMPLE_FAMILY, sampling.pass_at_k_checked),
    "PromptTokens": Metric(TOKEN_FAMILY, cost.prompt_tokens, rising=False),
    "OutputTokens": Metric(TOKEN_FAMILY, cost.output_tokens, rising=False),
    **{
        f"LatencyP{p}": Metric(LATENCY_FAMILY, partial(cost.latency, share=p / 100), rising=False) for p in (50, 95, 99)
    },
}
"""The metrics without a label."""

_BY_LABEL: Final = {
    "F1": metrics.f1_by_class,
    "Precision": metrics.precision_by_class,
    "Recall": metrics.recall_by_class,
}


def metric(name: str, label: str | None = None) -> Metric:
    """The metric that a gate or report names. KeyError or ValueError for one that does not exist."""
    if (by_class := _BY_LABEL.get(name)) is not None:
        return Metric(LABEL_FAMILY, partial(_column, by_class, LABELS.index(label or "")))
    return METRICS[name]


def _column(by_class: Counted, column: int, counts: Floats) -> Floats:
    return np.asarray(by_class(counts)[..., column])
