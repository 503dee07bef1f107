"""How closely a student follows its teacher, told apart from how right either is."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from lore_core.evaluation.answers import AnswerRow, answer_table
from lore_core.evaluation.fidelity import fidelity
from lore_core.evaluation.slices import Slice

LABELS = ("L1", "L2", "L3", "L4")


def row(number: int, gold: str, answer: str | None, probabilities=None, stratum: str = "head") -> AnswerRow:
    found = {"id": f"p{number:03}", "gold": gold, "query": f"q{number // 4}", "fields": {"stratum": stratum}}
    return AnswerRow.model_validate(found | {"answer": answer, "probabilities": probabilities})


def compared(student: list[AnswerRow], teacher: list[AnswerRow]):
    return fidelity(Slice(answer_table(student), answer_table(teacher), 200, 17))


def test_agreement_is_with_the_teacher_and_accuracy_with_gold() -> None:
    strata = ["head"] * 4 + ["tail"] * 4
    teacher = [row(n, "L4", "L4" if n < 4 else "L1", stratum=strata[n]) for n in range(8)]
    student = [row(n, "L4", "L4" if n < 2 else "L3" if n < 4 else "L1", stratum=strata[n]) for n in range(8)]
    whole, head, tail = compared(student, teacher)
    assert (whole.slice, head.slice, tail.slice) == ("all pairs", "stratum=head", "stratum=tail")
    assert [one.agreement for one in (whole, head, tail)] == ["0.750000", "0.500000", "1.000000"]
    assert [one.agreement2 for one in (whole, head, tail)] == ["1.000000"] * 3
    assert (tail.accuracy, tail.champion_accuracy) == ("0.000000", "0.000000")
    assert (head.accuracy, head.champion_accuracy) == ("0.500000", "1.000000")


def test_two_unreadable_answers_do_not_agree() -> None:
    rows = [row(n, "L4", None) for n in range(4)] + [row(n, "L4", "L4") for n in range(4, 8)]
    assert compared(rows, rows)[0].agreement == "0.500000"


def test_the_rank_correlation_is_the_mean_of_spearmans_over_queries() -> None:
    generator = np.random.default_rng(3)

    def drawn() -> list[AnswerRow]:
        found = [tuple(map(float, generator.dirichlet(np.ones(4)))) for _ in range(40)]
        return [row(n, "L2", LABELS[int(np.argmax(one))], one) for n, one in enumerate(found)]

    student, teacher = drawn(), drawn()
    grades = [[np.dot(one.probabilities, (1, 2, 3, 4)) for one in rows] for rows in (student, teacher)]
    each = [spearmanr(grades[0][n : n + 4], grades[1][n : n + 4]).statistic for n in range(0, 40, 4)]
    found = compared(student, teacher)[0]
    assert float(found.rank_correlation or "nan") == pytest.approx(float(np.mean(each)), abs=1e-5)
    assert found.ranked_queries == 10


def test_queries_that_rank_nothing_are_not_counted() -> None:
    flat = [row(n, "L2", "L1", (0.25, 0.25, 0.25, 0.25)) for n in range(8)]
    found = compared(flat, flat)[0]
    assert (found.rank_correlation, found.ranked_queries, found.agreement) == (None, 0, "1.000000")


def test_the_interval_holds_the_value_and_there_is_none_without_a_champion() -> None:
    teacher = [row(n, "L4", "L4") for n in range(40)]
    student = [row(n, "L4", "L4" if n % 3 else "L1") for n in range(40)]
    found = compared(student, teacher)[0]
    assert found.agreement_low is not None
    assert found.agreement_high is not None
    assert float(found.agreement_low) < float(found.agreement) < float(found.agreement_high)
    assert fidelity(Slice(answer_table(student), None, 200, 17)) == []
