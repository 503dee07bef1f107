"""Which pairs reinforcement learns from, and which preferences samples give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lore_core.jobs.config import AlignPreset
from lore_core.records import Label
from lore_core.training.alignment.preferences import Preference, from_samples
from lore_core.training.alignment.presets import PRESETS
from lore_core.training.alignment.rollouts import Rollout
from lore_core.training.alignment.selection import Window, balanced, low_confidence, variation

SOUND = "kind kettle kettle match ; colour red blue conflict"


def test_prompts_that_are_solved_or_hopeless_teach_nothing() -> None:
    held = [right for right in range(9) if Window(0.01, 0.9).holds(right, 8)]
    assert held == [1, 2, 3, 4, 5, 6, 7]
    assert [right for right in range(9) if Window(0.25, 0.5).holds(right, 8)] == [2, 3, 4]
    assert not Window(0.0, 1.0).holds(0, 8)
    assert not Window(0.0, 1.0).holds(8, 8)


def test_a_window_outside_zero_to_one_is_refused() -> None:
    with pytest.raises(ValueError, match="is no part of 0 to 1"):
        Window(0.9, 0.1)


def test_the_least_sure_rows_come_first_and_sure_ones_never() -> None:
    rows = np.array([[0.9, 0.1, 0, 0], [0.4, 0.3, 0.2, 0.1], [0.6, 0.4, 0, 0], [0.7, 0.3, 0, 0], [0.4, 0.4, 0.1, 0.1]])
    assert low_confidence(rows, 10) == [1, 4, 2]
    assert low_confidence(rows, 1) == [1]


def test_the_commonest_label_loses_rows_until_the_variation_is_small() -> None:
    labels = [Label.L4] * 50 + [Label.L3] * 5 + [Label.L2] * 36 + [Label.L1] * 9
    kept = balanced(labels, 0.3)
    counts = {label: sum(labels[row] is label for row in kept) for label in Label}
    assert variation([labels[row] for row in kept]) <= 0.3 < variation(labels)
    assert counts[Label.L3] == 5
    assert kept == sorted(kept)
    assert kept[:3] == [0, 1, 2]


@given(st.lists(st.sampled_from(list(Label)), max_size=60), st.floats(0, 1.7))
def test_any_labels_are_balanced_and_none_is_lost(labels: list[Label], most: float) -> None:
    kept = balanced(labels, most)
    assert {labels[row] for row in kept} == set(labels)
    assert len(set(kept)) == len(kept)


def test_a_right_sample_that_argues_and_is_short_is_chosen_over_the_furthest_wrong_one() -> None:
    samples = [
        Rollout("kind kettle kettle match", Label.L2, 5),
        Rollout(SOUND, Label.L2, 20),
        Rollout(SOUND, Label.L2, 12),
        Rollout(SOUND, Label.L3, 12),
        Rollout(SOUND, Label.L4, 12),
    ]
    assert from_samples(samples, Label.L2) == [Preference(2, 4, 2.0)]
    assert from_samples([*samples, Rollout("", None, 3)], Label.L2, most=2) == [
        Preference(2, 5, 4.0),
        Preference(2, 4, 2.0),
    ]


@pytest.mark.parametrize("label", [Label.L2, Label.L3])
def test_samples_that_agree_give_no_preference(label: Label) -> None:
    assert from_samples([Rollout(SOUND, label, 12)] * 3, Label.L2) == []


def test_presets_name_every_knob_and_what_is_not_the_papers() -> None:
    keys = [set(preset.settings()) for preset in PRESETS.values()]
    assert all(key == keys[0] for key in keys)
    dyknow = PRESETS[AlignPreset.DYKNOW].settings()
    assert (dyknow["num_generations"], dyknow["temperature"], dyknow["top_k"], dyknow["beta"]) == (16, 0.99, 100, 0.02)
    assert (PRESETS[AlignPreset.DYKNOW].window.least, PRESETS[AlignPreset.DYKNOW].window.most) == (0.01, 0.9)
