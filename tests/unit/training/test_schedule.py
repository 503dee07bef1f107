"""Every step is a function of its number, so that a resumed run repeats what an undisturbed one does."""

import pytest

from lore_core.jobs.config import Optimizer
from lore_core.training.schedule import batch_indices, learning_rate, rank_share, step_seed

OPTIMIZER = Optimizer(learning_rate="0.1", warmup_steps=4, max_steps=20, batch_size=6)


def test_the_rate_climbs_to_its_peak_and_falls_to_a_twentieth() -> None:
    rates = [learning_rate(step, OPTIMIZER) for step in range(20)]
    assert rates[:4] == pytest.approx([0.025, 0.05, 0.075, 0.1])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert learning_rate(20, OPTIMIZER) == pytest.approx(0.005)


def test_an_epoch_shows_every_example_once_across_batch_borders() -> None:
    seen = [index for step in range(5) for index in batch_indices(step, 10, OPTIMIZER)]
    assert [sorted(seen[start : start + 10]) for start in (0, 10, 20)] == [list(range(10))] * 3
    assert seen[:10] != seen[10:20]


def test_a_step_draws_the_same_examples_whatever_was_drawn_before() -> None:
    late = batch_indices(17, 10, OPTIMIZER)
    batch_indices(3, 10, OPTIMIZER)
    assert batch_indices(17, 10, OPTIMIZER) == late


def test_another_seed_draws_other_examples() -> None:
    other = OPTIMIZER.model_copy(update={"seed": 18})
    assert batch_indices(0, 1000, OPTIMIZER) != batch_indices(0, 1000, other)


def test_the_ranks_share_a_batch_without_overlap() -> None:
    parts = [rank_share(list(range(6)), rank, 3) for rank in range(3)]
    assert sorted(index for part in parts for index in part) == list(range(6))
    assert {len(part) for part in parts} == {2}


def test_a_batch_that_the_ranks_cannot_share_equally_is_refused() -> None:
    with pytest.raises(ValueError, match=r"optimizer\.batchSize"):
        rank_share(list(range(6)), 0, 4)


def test_every_step_and_rank_has_random_numbers_of_its_own() -> None:
    seeds = {step_seed(step, rank, OPTIMIZER) for step in range(50) for rank in range(4)}
    assert len(seeds) == 200
