"""The teacher's parts of a student's loss, against values computed by hand."""

import math

import pytest

torch = pytest.importorskip("torch")

from lore_core.training.distill_loss import divergence, margin, trust  # noqa: E402

GRADES = torch.tensor([1.0, 2.0, 3.0, 4.0])
EVEN = [0.25, 0.25, 0.25, 0.25]
FLAT = [0.0, 0.0, 0.0, 0.0]
HALF = [0.5, 0.0, 0.0, 0.5]


def logits(*rows: list[float]) -> object:
    return torch.tensor(rows)


def test_a_student_that_says_what_the_teacher_says_diverges_by_nothing() -> None:
    teacher = torch.tensor([[0.1, 0.2, 0.3, 0.4]])
    assert float(divergence(teacher, teacher.log())) == pytest.approx(0.0, abs=1e-6)


def test_divergence_is_that_of_both_at_temperature_two_times_four() -> None:
    # 16:1:1:1 at temperature 2 is 4:1:1:1; against even shares: (4/7) ln(16/7) + 3 (1/7) ln(4/7).
    teacher = torch.tensor([[16.0, 1.0, 1.0, 1.0]]) / 19
    by_hand = 4 / 7 * math.log(16 / 7) + 3 / 7 * math.log(4 / 7)
    assert float(divergence(teacher, logits(FLAT))) == pytest.approx(4 * by_hand, abs=1e-5)


def test_divergence_counts_each_pair_by_its_weight_and_divides_by_all_pairs() -> None:
    teacher = torch.tensor([[16.0, 1.0, 1.0, 1.0], [19.0, 0.0, 0.0, 0.0]]) / 19
    first = float(divergence(teacher[:1], logits(FLAT)))
    found = divergence(teacher, logits(FLAT, FLAT), torch.tensor([0.5, 0.0]))
    assert float(found) == pytest.approx(0.5 * first / 2, abs=1e-5)
    whole = divergence(teacher, logits(FLAT, FLAT), torch.ones(2))
    assert float(whole) == pytest.approx(float(divergence(teacher, logits(FLAT, FLAT))), abs=1e-5)


def test_margin_is_the_squared_error_of_differences_in_expected_grade() -> None:
    # The teacher has 4 and 1, 3 apart; the student 2.5 twice, 0 apart.
    teacher = torch.tensor([[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
    assert float(margin(teacher, logits(FLAT, FLAT), GRADES, ["q", "q"])) == pytest.approx(9.0)
    assert float(margin(teacher, logits(FLAT, FLAT), GRADES, ["q", "q"], torch.tensor([0.5, 0.4]))) == pytest.approx(
        1.8
    )


def test_margin_leaves_a_shift_of_a_whole_query_alone() -> None:
    # All grades of the query are one lower than the teacher's: no difference between them is wrong.
    teacher = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    student = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]).clamp_min(1e-9).log()
    assert float(margin(teacher, student, GRADES, ["q", "q"])) == pytest.approx(0.0, abs=1e-6)


def test_margin_compares_no_pairs_of_two_queries() -> None:
    teacher = torch.tensor([[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0], EVEN])
    # a's one difference is wrong by 3 - 0, b has none; over all three pairs it would be a mean of three differences.
    assert float(margin(teacher, logits(FLAT, FLAT, FLAT), GRADES, ["a", "a", "b"])) == pytest.approx(9.0)


def test_pairs_of_different_queries_have_no_margin_and_pull_nowhere() -> None:
    student = torch.tensor([FLAT, FLAT], requires_grad=True)
    found = margin(torch.tensor([EVEN, HALF]), student, GRADES, ["a", "b"])
    found.backward()
    assert found.item() == 0.0
    assert not student.grad.any()  # type: ignore[union-attr]


def test_trust_is_the_probability_of_gold() -> None:
    sure, unsure, against = [0.0, 0.0, 0.0, 1.0], [0.2, 0.1, 0.1, 0.6], [0.9, 0.05, 0.03, 0.02]
    assert trust(torch.tensor([sure, unsure, against]), torch.tensor([3, 3, 3])).tolist() == pytest.approx(
        [1, 0.6, 0.02]
    )
