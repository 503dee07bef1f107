"""Finished evidence judged again: the same answers, other gates or another champion, no model and no server."""

from collections.abc import Callable, Iterable, Sequence

from lore_core.evaluation.answers import AnswerRow, answer_table, champion_answers
from lore_core.evaluation.evidence import Evidence, EvidenceError, check_comparable
from lore_core.evaluation.gates import GateOutcome, apply
from lore_core.evaluation.inputs import check_fields, check_subsets
from lore_core.evaluation.slices import Slice
from lore_core.jobs import Gate

Answers = Callable[[], Iterable[AnswerRow]]
"""Reads the answers in the order of their ids, from the beginning each time: they need not fit into memory."""


def compare(answers: Answers, champion: Evidence | None, resamples: int, seed: int) -> Slice:
    """The whole evaluation, beside the champion's on the same pairs. Raises EvidenceError where the two do not match."""
    other = None
    if champion is not None:
        try:
            other = answer_table(champion_answers(answers(), champion.answers()))
        except ValueError as error:
            raise EvidenceError(
                f"champion evidence {champion.digest}: {error}, though the benchmark digest is the same; "
                "evaluate the champion again"
            ) from error
    return Slice(answer_table(answers()), other, resamples, seed)


def scores_of(evidence: Evidence, champion: Evidence | None) -> Slice:
    """The scores that finished evidence was judged by, with its own resamples. Raises EvidenceError or JobError."""
    report = evidence.report
    if champion is not None:
        check_comparable(champion.report, report.bound, report.rule_mode, report.subsets, champion.digest)
    scores = compare(evidence.answers, champion, report.resamples, report.seed)
    if len(scores.candidate) != report.pairs:
        raise EvidenceError(
            f"evidence {evidence.digest}: has {len(scores.candidate)} answers, its report speaks of {report.pairs}; "
            "evaluate again"
        )
    return scores


def judge_again(evidence: Evidence, champion: Evidence | None, gates: Sequence[Gate]) -> list[GateOutcome]:
    """Outcomes of these gates on finished evidence. Raises EvidenceError or JobError for gates that cannot be judged."""
    scores, report = scores_of(evidence, champion), evidence.report
    check_subsets(gates, report.subsets)
    check_fields(gates, scores.candidate.fields)
    name = champion.report.model_name if champion else None
    return apply(gates, scores, champion_name=name, rule_mode=report.rule_mode)
