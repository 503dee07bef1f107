"""A finished evaluation as one document for people and programs: what `lore report` writes as JSON and HTML.

The schema is published as docs/formats/report.schema.json. Everything is computed from evidence; texts of pairs come from the
benchmark, where that is at hand.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Final, Literal

import numpy as np

from lore_core.artifacts import Digest
from lore_core.evaluation import confidence, metrics
from lore_core.evaluation.answers import AnswerRow, champion_answers
from lore_core.evaluation.catalogue import CONFIDENCE_FAMILY, TIER_FAMILY
from lore_core.evaluation.comparisons import Comparison, comparisons
from lore_core.evaluation.evidence import Evidence, EvidenceReport
from lore_core.evaluation.fidelity import FidelityRow, fidelity
from lore_core.evaluation.gates import explain, number
from lore_core.evaluation.judging import Answers, scores_of
from lore_core.evaluation.metrics import LABELS
from lore_core.evaluation.sampling import derived
from lore_core.evaluation.scores import ScoreRow, score_rows
from lore_core.evaluation.slices import Slice
from lore_core.jobs.config import Decimal, LabelName, WireModel
from lore_core.records import Pair

WORST: Final = 50
IMPLIED_SAMPLES: Final = 8
"""k of the pass@k that label probabilities imply."""


class ReliabilityBin(WireModel):
    """Answers whose confidence lies in one tenth: mean confidence, and the share that is right."""

    pairs: int
    confidence: Decimal
    right: Decimal


class WorstPair(WireModel):
    """A pair that the champion answered better. `lost` is by how many grades; texts are there where the benchmark was."""

    id: str
    lost: int
    gold: LabelName
    candidate: LabelName | None = None
    champion: LabelName | None = None
    gold_probability: Decimal | None = None
    fields: dict[str, str] = {}
    query: str | None = None
    title: str | None = None
    attributes: dict[str, str] = {}
    picture: str | None = None


class ImpliedPass(WireModel):
    """pass@1 and pass@k less chance as label probabilities imply them; not comparable with those of sampled answers."""

    samples: int
    pass_at_1: Decimal
    above_chance: Decimal


class ReportDocument(WireModel):
    """`confusion` is gold L1..L4 by answer L1..L4 and unparsable, `tiers` gold tier by tier in the order Good, Mid, Bad."""

    format_version: Literal[1] = 1
    evidence: Digest
    champion: Digest | None = None
    report: EvidenceReport
    explanation: tuple[str, ...]
    scores: tuple[ScoreRow, ...]
    comparisons: tuple[Comparison, ...] = ()
    fidelity: tuple[FidelityRow, ...] = ()
    confusion: tuple[tuple[int, ...], ...]
    champion_confusion: tuple[tuple[int, ...], ...] = ()
    reliability: tuple[ReliabilityBin, ...] = ()
    tiers: tuple[tuple[int, ...], ...]
    implied: ImpliedPass | None = None
    regressed: int = 0
    worst: tuple[WorstPair, ...] = ()


def document(evidence: Evidence, champion: Evidence | None, pairs: Iterable[Pair]) -> ReportDocument:
    """The report of finished evidence; of the benchmark's `pairs`, which may be none, only those that are shown are kept.

    Raises EvidenceError where the two cannot be compared.
    """
    scores = scores_of(evidence, champion)
    regressed, worst = regressions(evidence.answers, champion.answers) if champion else (0, [])
    return ReportDocument(
        evidence=evidence.digest,
        champion=champion.digest if champion else None,
        report=evidence.report,
        explanation=tuple(explain(evidence.report.gates)),
        scores=tuple(score_rows(scores)) if champion else evidence.report.scores,
        comparisons=tuple(comparisons(scores)),
        fidelity=tuple(fidelity(scores)),
        confusion=_whole(metrics.confusion(scores.candidate.totals)),
        champion_confusion=_whole(metrics.confusion(scores.champion.totals)) if scores.champion else (),
        reliability=tuple(_reliability(scores)),
        tiers=_whole(confidence.tier_confusion(TIER_FAMILY.count(scores.candidate).sum(axis=0))),
        implied=_implied(evidence.report, scores),
        regressed=regressed,
        worst=tuple(_with_texts(worst, pairs)),
    )


def _implied(report: EvidenceReport, scores: Slice) -> ImpliedPass | None:
    """Of scored labels alone: what was generated has samples of its own, or none."""
    if report.decoding.get("protocol") != "LabelScore":
        return None
    found = derived(scores.candidate.gold, scores.candidate.measured, IMPLIED_SAMPLES)
    if found is None:
        return None
    return ImpliedPass(samples=IMPLIED_SAMPLES, pass_at_1=f"{found[0]:.6f}", above_chance=f"{found[1]:.6f}")


def _whole(table: metrics.Floats) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(cell) for cell in row) for row in table)


def _reliability(scores: Slice) -> list[ReliabilityBin]:
    size, mean, right = confidence.reliability(CONFIDENCE_FAMILY.count(scores.candidate).sum(axis=0))
    return [
        ReliabilityBin(pairs=int(size[place]), confidence=f"{mean[place]:.6f}", right=f"{right[place]:.6f}")
        for place in np.flatnonzero(size)
    ]


def regressions(rows: Answers, champion: Answers) -> tuple[int, list[WorstPair]]:
    """How many pairs the champion answered better, and the `WORST` of them.

    Worst is by grades lost, then by the probability left to gold. No more than twice as many are held at once.
    """
    count, worst = 0, list[WorstPair]()
    for pair in _lost(rows, champion):
        count += 1
        worst.append(pair)
        if len(worst) >= 2 * WORST:
            worst = sorted(worst, key=_severity)[:WORST]
    return count, sorted(worst, key=_severity)[:WORST]


def _lost(rows: Answers, champion: Answers) -> Iterator[WorstPair]:
    for row, before in zip(rows(), champion_answers(rows(), champion()), strict=True):
        lost = _distance(row) - _distance(before)
        if lost > 0:
            yield _worst(row, before, lost)


def _severity(pair: WorstPair) -> tuple[int, float, str]:
    return -pair.lost, float(pair.gold_probability or "0"), pair.id


def _worst(row: AnswerRow, before: AnswerRow, lost: int) -> WorstPair:
    left = row.probabilities[LABELS.index(row.gold)] if row.probabilities else math.nan
    return WorstPair(
        id=row.id,
        lost=lost,
        gold=row.gold,
        candidate=row.answer,
        champion=before.answer,
        gold_probability=number(left),
        fields={name: value for name, value in row.fields.items() if value},
    )


def _distance(row: AnswerRow) -> int:
    """Grades between answer and gold; an unparsable answer lies as far as a label can."""
    gold = LABELS.index(row.gold)
    return max(gold, len(LABELS) - 1 - gold) if row.answer is None else abs(LABELS.index(row.answer) - gold)


def _with_texts(worst: list[WorstPair], pairs: Iterable[Pair]) -> Iterator[WorstPair]:
    wanted = {pair.id for pair in worst}
    texts = {pair.id: _texts(pair) for pair in pairs if pair.id in wanted}
    return (pair.model_copy(update=texts.get(pair.id, {})) for pair in worst)


def _texts(pair: Pair) -> dict[str, object]:
    shown = {"query": pair.query, "title": pair.title, "attributes": dict(pair.cpv_sku)}
    return {**shown, "picture": pair.vqa_result or None}
