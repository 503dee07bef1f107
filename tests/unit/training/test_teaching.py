"""A teacher is asked about training queries alone, at the temperature and with the trust that a stage asks for."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from lore_core.jobs.teaching import TeacherKnobs
from lore_core.prompts.contract import Calibration
from lore_core.records import LABELS, Pair
from lore_core.records.leakage import canonical_query
from lore_core.training.teaching import TaughtBy, Teaching
from lore_core.training.temperature import calibration_of, fitted_temperature, tempered
from lore_core.training.together import Ranks

from .conftest import pair

torch = pytest.importorskip("torch")

from lore_core.training.distill_loss import divergence, margin  # noqa: E402

SAYS = {"L1": [0.7, 0.1, 0.1, 0.1], "L4": [0.1, 0.2, 0.3, 0.4]}
PAIRS = [pair(n, query=f"query {n // 2}", groundtruth="L1" if n % 2 else "L4") for n in range(6)]
LOGITS = [[1.0, 0.5, 0.0, -0.5], [0.0, 1.0, 0.0, 1.0], [2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.3, 0.0]]


class Judge:
    """Says of every pair what `SAYS` has of its gold label; remembers whom it was asked about."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, pairs: Sequence[Pair]) -> npt.NDArray[np.float64]:
        self.asked += [one.query for one in pairs]
        return np.array([SAYS[one.groundtruth] for one in pairs])


def teaching(judge: Judge, held_out: Sequence[str] = (), **knobs: object) -> Teaching:
    by = TaughtBy(judge, TeacherKnobs.model_validate(knobs), frozenset(map(canonical_query, held_out)))
    return Teaching(by, PAIRS, Calibration())


def loss(made: Teaching, indices: Sequence[int]) -> float:
    return float(made.loss(torch.tensor(LOGITS), indices))


def test_a_teacher_is_never_asked_about_a_query_of_another_split_however_it_is_spelt() -> None:
    judge = Judge()
    made = teaching(judge, ["Query, 1"])
    made.expect([5, 3, 2, 0])
    loss(made, [0, 3, 2, 5])
    assert judge.asked == ["query 2", "query 0"]
    made.expect(range(len(PAIRS)))
    loss(made, [0, 1, 2, 3])
    loss(made, [2, 3, 4, 5])
    assert set(judge.asked) == {"query 0", "query 2"}
    assert made.summary() == {"untaughtPairs": 2}


def test_pairs_that_the_teacher_is_not_asked_about_add_nothing_to_its_part() -> None:
    soft = torch.tensor([SAYS["L4"], SAYS["L1"]], dtype=torch.float32)
    found = loss(teaching(Judge(), ["query 1"]), [0, 1, 2, 3])
    assert found == pytest.approx(0.5 * float(divergence(soft, torch.tensor(LOGITS[:2]))) * 2 / 4, abs=1e-6)


def test_without_settings_the_teachers_part_is_half_the_divergence_bit_by_bit() -> None:
    soft = torch.tensor([SAYS["L4"], SAYS["L1"]] * 2, dtype=torch.float32)
    assert loss(teaching(Judge()), [0, 1, 2, 3]) == float(0.5 * divergence(soft, torch.tensor(LOGITS)))


def test_a_weighed_teacher_counts_by_the_probability_of_gold() -> None:
    soft = torch.tensor([SAYS["L4"], SAYS["L1"]] * 2, dtype=torch.float32)
    expected = 0.5 * divergence(soft, torch.tensor(LOGITS), torch.tensor([0.4, 0.7, 0.4, 0.7]))
    assert loss(teaching(Judge(), weigh_teacher=True), [0, 1, 2, 3]) == pytest.approx(float(expected), abs=1e-6)


def test_the_margin_is_added_by_its_weight_within_queries() -> None:
    soft = torch.tensor([SAYS["L4"], SAYS["L1"]] * 2, dtype=torch.float32)
    apart = margin(soft, torch.tensor(LOGITS), torch.tensor([1.0, 2.0, 3.0, 4.0]), [0, 0, 1, 1])
    found = loss(teaching(Judge(), margin_weight="0.3"), [0, 1, 2, 3]) - loss(teaching(Judge()), [0, 1, 2, 3])
    assert found == pytest.approx(0.3 * float(apart), abs=1e-5)
    assert float(apart) > 0.1


def test_a_temperature_is_found_again() -> None:
    draw = np.random.default_rng(5)
    logits = draw.normal(0, 2, (20_000, 4))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    gold = (draw.random((len(shares), 1)) > shares.cumsum(axis=1)).sum(axis=1).clip(0, 3)
    sharp = np.exp(3 * logits) / np.exp(3 * logits).sum(axis=1, keepdims=True)
    assert fitted_temperature(sharp, gold) == pytest.approx(3.0, rel=0.03)
    assert fitted_temperature(shares, gold) == pytest.approx(1.0, rel=0.03)


def test_a_teacher_is_made_as_sure_as_it_is_right() -> None:
    # 97:1:1:1 and right three times in four: 97**(1/T) must be 9, since 9:1:1:1 is 3/4.
    probabilities = np.array([[0.97, 0.01, 0.01, 0.01]] * 4)
    assert fitted_temperature(probabilities, [0, 0, 0, 1]) == pytest.approx(math.log(97) / math.log(9), rel=1e-6)


def test_a_teacher_that_is_always_right_keeps_its_temperature() -> None:
    assert fitted_temperature(np.array([SAYS["L1"]] * 3), [0, 0, 0]) == 1.0


def test_a_calibrated_teacher_is_asked_about_every_pair_of_the_split_and_answers_softer() -> None:
    judge = Judge()
    wrong = [pair(n, query=f"calibration {n}", groundtruth="L1" if n < 2 else "L4") for n in range(4)]
    found = calibration_of(judge, wrong, Ranks(0, 1, 0))
    assert judge.asked == [one.query for one in wrong]
    gold = [LABELS.index(one.groundtruth) for one in wrong]
    assert float(found.temperature) == pytest.approx(fitted_temperature(judge(wrong), gold), abs=1e-4)
    scaled = np.array(SAYS["L1"]) ** (1 / float(found.temperature))
    assert tempered(judge, found)(wrong[:1])[0] == pytest.approx(scaled / scaled.sum())
