"""The speed benchmark of fine-tuning compares like with like, or says so."""

import pytest

from benchmarks.training import __main__ as program
from benchmarks.training.contenders import TRL, Contender
from benchmarks.training.world import ITEMS, pairs, prefix_share
from lore_core.training.examples import IGNORED, Example


def contender(name: str, loss: float, seconds: float = 1.0) -> Contender:
    return Contender(name, lambda _steps: seconds, lambda _rows: loss)


def test_nothing_is_timed_where_losses_differ(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.equal_losses([contender("a", 2.0), contender("b", 2.000005)], range(4))
    assert not program.equal_losses([contender("a", 2.0), contender("b", 2.0001)], range(4))
    assert "losses differ by 1.00e-04" in capsys.readouterr().err


def test_the_rivals_are_trl_as_it_comes_and_at_its_fastest() -> None:
    seconds = dict(zip(TRL, (4.0, 3.0, 2.0), strict=True)) | {program.SHARED: 1.0, program.PLAIN: 2.0}
    times = program.turns([contender(name, 0.0, value) for name, value in seconds.items()], 3, 5)
    assert {len(found) for found in times.values()} == {5}
    assert program.ratios(times) == {"TRL defaults": 4.0, "the fastest TRL": 2.0}
    assert program.reached(times, 32)
    assert not program.reached({**times, program.SHARED: [5.0]}, 32)


def test_shared_pairs_have_eight_items_a_query_and_the_share_is_counted_in_tokens() -> None:
    alike, apart = pairs(2 * ITEMS, shared=True), pairs(2 * ITEMS, shared=False)
    assert (len({one.query for one in alike}), len({one.query for one in apart})) == (2, 2 * ITEMS)
    examples = [Example((1, 2, 3, 10 + row, 11, 4), (*[IGNORED] * 5, 4)) for row in range(2 * ITEMS)]
    assert prefix_share(alike, examples) == pytest.approx(3 / 5)
    assert prefix_share(apart, examples) == 0.0
