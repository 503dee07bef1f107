"""The simulation's own arithmetic, and its short form as a user runs it."""

import numpy as np
import pytest

from benchmarks.gates import __main__ as program
from benchmarks.gates.world import EVEN, RARE, World, losses_for, steady
from lore_core.evaluation.catalogue import metric


@pytest.mark.parametrize("case", program.CASES, ids=lambda case: case.gate.metric)
def test_the_drawn_models_differ_by_exactly_the_margin(case):
    margin = float(case.gate.max_regression)
    world = case.world(20_000, 0.1, margin)
    drawn = world.draw(1)
    assert drawn.regression(case.gate.metric, case.gate.label) == pytest.approx(margin, abs=0.008)


def test_without_a_margin_nothing_is_lost():
    assert losses_for(metric("Accuracy4").of, EVEN, 0.0, (0, 1, 2, 3)) == pytest.approx((steady(),) * 4)


@pytest.mark.parametrize(("correlation", "effect"), [(0.0, 1.0), (0.3, 1 + 9 * 0.3)])
def test_pairs_of_a_query_are_correlated_as_asked(correlation, effect):
    drawn = World(4000, correlation, RARE, (steady(),) * 4).draw(2)
    right = (drawn.champion.gold == drawn.champion.answer).reshape(4000, 10).sum(axis=1)
    assert right.var() / (10 * 0.8 * 0.2) == pytest.approx(effect, rel=0.1)


def test_the_short_run_prints_every_setting_and_draws_both_plots(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(program, "SHORT_RUNS", 1)
    assert program.main(["--short", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("queries, correlation") == 27
    assert all((tmp_path / name).read_text().startswith("<svg") for name in ("power.svg", "false-pass.svg"))


def test_a_stopped_run_goes_on_with_the_setting_that_is_missing(tmp_path):
    file, measured = tmp_path / "settings.jsonl", list[str]()

    def share(kept, setting, runs=10):
        return kept.share(setting, runs, lambda: measured.append(setting) or len(measured) / 10)

    first = program.Kept(file)
    assert (share(first, "a"), share(first, "b")) == (0.1, 0.2)
    with file.open("a") as stream:
        stream.write('["c", 10, 0.')  # stopped in the middle of a line
    again = program.Kept(file)
    assert (share(again, "a"), share(again, "c"), share(again, "a", 20)) == (0.1, 0.3, 0.4)
    assert measured == ["a", "b", "c", "a"], "another number of runs is another setting"
    assert share(program.Kept(file), "c") == 0.3


def test_a_gate_that_passes_all_is_found_out(monkeypatch):
    monkeypatch.setattr(program, "false_passes", lambda runs, kept: iter([("any", 0.2)]))
    monkeypatch.setattr(program, "power_curve", lambda runs, kept: {"20 queries": [(0.0, 1.0)]})
    assert program.main([]) == 1


def test_a_drawn_evaluation_is_the_same_each_time():
    world = World(20, 0.1, EVEN, (0.05,) * 4)
    assert np.array_equal(world.draw(3).candidate.answer, world.draw(3).candidate.answer)
