"""The order in which fine-tuning sees its pairs."""

from typing import Any

import pytest

from lore_core.jobs.config import DistillStage, Optimizer, SftSettings
from lore_core.records import Pair
from lore_core.training.order import sft_order, student_order
from lore_core.training.schedule import Order, Phase, batch_indices

from .conftest import pair

OPTIMIZER = Optimizer(max_steps=12, batch_size=6)


def settings(**changes: Any) -> SftSettings:
    return SftSettings(optimizer=OPTIMIZER, **changes)


def steps(order: Order, first: int, last: int) -> list[int]:
    return [index for step in range(first, last) for index in order.batch(step)]


def test_without_knobs_the_order_is_the_plain_one() -> None:
    pairs = [pair(n) for n in range(10)]
    order = sft_order(pairs, settings())
    assert [order.batch(step) for step in range(12)] == [batch_indices(step, 10, OPTIMIZER) for step in range(12)]


def test_a_balanced_epoch_shows_every_label_equally_often_and_every_pair() -> None:
    pairs = [pair(n, groundtruth="L4" if n < 6 else "L2" if n < 8 else "L1") for n in range(9)]
    epoch = steps(sft_order(pairs, settings(balance_labels=True)), 0, 3)
    counts = {label: sum(pairs[index].groundtruth == label for index in epoch) for label in ("L1", "L2", "L4")}
    assert counts == {"L1": 6, "L2": 6, "L4": 6}
    assert set(epoch) == set(range(9))


def test_a_curriculum_begins_with_what_needs_least() -> None:
    needs = [{}, {"knowledge": True}, {"image": True}, {"rule": True}]
    pairs = [pair(n, needs=needs[n % 4]) for n in range(40)]
    order = sft_order(pairs, settings(curriculum_share="0.75"))
    seen = [{index % 4 for index in steps(order, first, first + 3)} for first in (0, 3, 6, 9)]
    assert [max(found) for found in seen] == [0, 1, 2, 3]


def test_a_phase_without_pairs_is_left_out() -> None:
    pairs = [pair(n, needs={"rule": True}) for n in range(10)]
    order = sft_order(pairs, settings(curriculum_share="0.75"))
    assert sorted(steps(order, 0, 5)) == sorted([*range(10)] * 3)


def queried(number: int) -> Pair:
    return pair(number, query=f"query {number % 3}", market="north" if number < 9 else "south")


def test_a_querys_pairs_stay_together_also_when_ranks_share_a_batch() -> None:
    pairs = [queried(n) for n in range(18)]
    order = sft_order(pairs, settings(share_prefix=True))
    for step in range(3):
        parts = [order.share(step, rank, 2) for rank in range(2)]
        assert [len({(pairs[i].query, pairs[i].market) for i in part}) for part in parts] == [1, 1]
        assert parts[0] + parts[1] == order.batch(step)


def student(**changes: Any) -> DistillStage:
    uri = {"uri": "file:///m"}
    return DistillStage.model_validate({"base": uri, "teacher": uri, "optimizer": OPTIMIZER, **changes})


def test_a_students_order_is_the_plain_one_until_margins_keep_queries_together() -> None:
    pairs = [queried(n) for n in range(18)]
    plain, together = student_order(pairs, student()), student_order(pairs, student(margin_weight="0.5"))
    assert [plain.batch(step) for step in range(12)] == [batch_indices(step, 18, OPTIMIZER) for step in range(12)]
    for step in range(6):
        parts = [together.share(step, rank, 2) for rank in range(2)]
        assert [len({(pairs[i].query, pairs[i].market) for i in part}) for part in parts] == [1, 1]


def test_a_step_draws_the_same_whatever_was_drawn_before() -> None:
    groups = [[0, 1, 2], [3], [4, 5, 6, 7]]
    phases = [Phase(0, groups), Phase(5, [[8], [9]])]
    late = Order(phases, OPTIMIZER).batch(7)
    order = Order(phases, OPTIMIZER)
    for step in (11, 3, 5, 0):
        order.batch(step)
    assert order.batch(7) == late
    assert set(late) == {8, 9}


@pytest.mark.parametrize(
    "change", [{"label_weight": "0"}, {"label_weight": "-1"}, {"curriculum_share": "1.5"}, {"curriculum_share": "-0.1"}]
)
def test_knobs_out_of_range_are_refused(change: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(change)).split("_")[0]):
        settings(**change)
