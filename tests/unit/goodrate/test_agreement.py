"""Agreement as its authors compute it."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from lore_core.goodrate.agreement import cohen_kappa, krippendorff_alpha

# Krippendorff (2011), section C: four observers, twelve units, gaps; the fourth value column is the fifth label.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
UNITS = [[value - 1 for value in unit if value is not None] for unit in zip(*OBSERVERS, strict=True)]
UNITS = [unit for unit in UNITS if len(unit) > 1]


@pytest.mark.parametrize(("ordinal", "published"), [(False, 0.743), (True, 0.815)])
def test_alpha_is_the_published_one_of_the_published_example(ordinal: bool, published: float) -> None:
    assert krippendorff_alpha(UNITS, 5, ordinal=ordinal) == pytest.approx(published, abs=5e-4)


def test_raters_who_toss_coins_agree_as_chance_does() -> None:
    generator = np.random.default_rng(3)
    alpha = krippendorff_alpha(generator.integers(0, 4, (4000, 3)).tolist(), 4, ordinal=True)
    assert alpha == pytest.approx(0.0, abs=0.04)


def test_where_all_say_the_same_there_is_nothing_to_measure() -> None:
    assert krippendorff_alpha([[3, 3], [3, 3]], 4, ordinal=True) is None


def test_kappa_is_scikit_learns() -> None:
    generator = np.random.default_rng(5)
    one, other = generator.random(300) < 0.6, generator.random(300) < 0.5
    kappa, agreed, count = cohen_kappa(dict(enumerate(one.tolist())), dict(enumerate(other.tolist())))
    assert kappa == pytest.approx(cohen_kappa_score(one, other))
    assert (agreed, count) == (pytest.approx(float((one == other).mean())), 300)
