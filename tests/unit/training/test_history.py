"""Curves stay short, and a resumed run draws the same ones."""

import json
from itertools import pairwise

from lore_core.training.history import MOST_POINTS, History


def run(history: History, first: int, last: int) -> History:
    for step in range(first, last + 1):
        history.add(step, {"loss": 1 / step})
    return history


def test_a_long_run_has_few_points_from_its_first_step_on() -> None:
    points = run(History(), 1, 5000).curves["loss"]
    assert MOST_POINTS / 2 <= len(points) <= MOST_POINTS
    steps = [step for step, _ in points]
    assert steps[0] == 1
    assert {after - before for before, after in pairwise(steps)} == {64}


def test_a_resumed_run_has_the_curves_of_an_undisturbed_one() -> None:
    kept = json.loads(json.dumps(run(History(), 1, 333).state()))
    resumed, undisturbed = run(History(kept), 334, 1000), run(History(), 1, 1000)
    assert resumed.state() == undisturbed.state()
    assert undisturbed.final_loss == sum(1 / step for step in range(991, 1001)) / 10


def test_a_value_that_is_no_number_is_left_out() -> None:
    history = History()
    history.add(1, {"loss": float("nan"), "reward": 0.5})
    assert history.curves == {"reward": [[1, 0.5]]}
    assert history.final_loss == 0.0
