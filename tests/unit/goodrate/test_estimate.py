"""A sample with known probabilities, and estimates that are right however wrong the judge is."""

from collections import Counter
from datetime import date

import numpy as np
import pytest

from lore_core.goodrate.estimate import combined, parts
from lore_core.goodrate.rows import Drawn, Rating, Served
from lore_core.goodrate.sampling import cell_of, draw
from lore_core.goodrate.values import check, judge_values, people_values

DAY = date(2026, 11, 1)


def served(stratum: str, count: int, items: int = 1, day: date = DAY) -> list[Served]:
    ids = tuple(f"i{number}" for number in range(items))
    return [
        Served(request=f"{day}-{stratum}-{row}", date=day, stratum=stratum, query=f"q{row % 7}", items=ids)
        for row in range(count)
    ]


LOG = [*served("head", 900), *served("tail", 100), *served("tail", 5, day=date(2026, 11, 2))]


def test_each_day_and_stratum_has_its_sample_and_says_how_it_was_drawn() -> None:
    drawn = draw(LOG, 20, 8, seed=1)
    assert Counter(map(cell_of, drawn)) == {
        ("2026-11-01", "head"): 20,
        ("2026-11-01", "tail"): 20,
        ("2026-11-02", "tail"): 5,
    }
    assert {(row.population, row.sampled, row.rated) for row in drawn} == {(900, 20, 8), (100, 20, 8), (5, 5, 5)}
    assert sum(row.people for row in drawn) == 21


def test_the_sample_depends_on_the_seed_and_not_on_the_order_of_the_log() -> None:
    assert draw(LOG, 20, 8, seed=1) == draw(LOG[::-1], 20, 8, seed=1)
    assert draw(LOG, 20, 8, seed=1) != draw(LOG, 20, 8, seed=2)


def test_every_request_is_drawn_as_often_as_every_other() -> None:
    log = served("tail", 40)
    seen = Counter(row.request for seed in range(2000) for row in draw(log, 10, 0, seed))
    assert min(seen.values()) > 500 - 5 * 20
    assert max(seen.values()) < 500 + 5 * 20  # 2,000 draws at 1/4, five standard deviations


def test_a_request_that_is_logged_twice_is_told() -> None:
    with pytest.raises(ValueError, match=r"occurs twice"):
        draw([*LOG, LOG[0]], 2000, 0, seed=1)


def good(rows: list[Drawn], rate: float, generator: np.random.Generator) -> dict[str, float]:
    return {row.request: float(generator.random() < rate) for row in rows}


def test_strata_are_weighed_by_their_traffic() -> None:
    drawn = draw(LOG[:1000], 50, 50, seed=1)
    found = parts(drawn, {row.request: float(row.stratum == "head") for row in drawn}, None)
    assert combined(list(found.values())).value == pytest.approx(0.9)


def wrong_judge(value: float, generator: np.random.Generator) -> float:
    """Right on nine of ten good ones, and calls six of ten bad ones good."""
    return float(generator.random() < (0.9 if value else 0.6))


@pytest.mark.parametrize("judged", [False, True], ids=["people alone", "judge and people"])
def test_the_interval_covers_the_true_rate_as_often_as_it_says(judged: bool) -> None:
    generator, covered, runs = np.random.default_rng(7), 0, 400
    log = [*served("head", 1500), *served("tail", 500)]
    for seed in range(runs):
        truth = {row.request: float(generator.random() < (0.9 if row.stratum == "head" else 0.6)) for row in log}
        drawn = draw(log, 120, 40, seed)
        guesses = {row.request: wrong_judge(truth[row.request], generator) for row in drawn} if judged else None
        rate = combined(list(parts(drawn, truth, guesses).values()))
        assert rate.low is not None
        assert rate.high is not None
        covered += rate.low <= np.mean(list(truth.values())) <= rate.high
    assert covered / runs >= 0.95 - 3 * (0.95 * 0.05 / runs) ** 0.5


def test_a_good_judge_makes_the_interval_shorter() -> None:
    generator = np.random.default_rng(9)
    drawn = draw(served("tail", 5000), 600, 60, seed=3)
    truth = good(drawn, 0.7, generator)
    nearly = {key: value if generator.random() < 0.97 else 1 - value for key, value in truth.items()}

    def width(judge: dict[str, float] | None) -> float:
        rate = combined(list(parts(drawn, truth, judge).values()))
        assert rate.low is not None
        assert rate.high is not None
        return rate.high - rate.low

    assert width(nearly) < 0.7 * width(None)


def test_a_cell_that_nobody_rated_leaves_no_estimate() -> None:
    drawn = draw(LOG[:1000], 10, 0, seed=1)
    assert combined(list(parts(drawn, {}, {row.request: 1.0 for row in drawn}).values())).value is None


def test_a_single_request_that_was_rated_leaves_no_doubt_and_one_of_several_does() -> None:
    def bounds(rare: int) -> tuple[float | None, float | None]:
        log = [*served("tail", 500), *served("tail", rare, day=date(2026, 11, 3))]
        drawn = [row for row in draw(log, 30, 30, seed=1) if row.date == DAY] + draw(log[500:], 30, 1, seed=1)
        rate = combined(list(parts(drawn, {row.request: 1.0 for row in drawn}, None).values()))
        return rate.low, rate.high

    assert None not in bounds(1)
    assert bounds(2) == (None, None)


def test_equal_ratings_everywhere_are_no_certainty() -> None:
    drawn = draw(served("tail", 500), 30, 30, seed=1)
    rate = combined(list(parts(drawn, {row.request: 1.0 for row in drawn}, None).values()))
    assert (rate.value, rate.high) == (1.0, 1.0)
    assert rate.low == pytest.approx(0.88, abs=0.02)


def rating(row: Drawn, item: str | None, label: str, rater: str = "ann") -> Rating:
    return Rating.model_validate(
        {"request": row.request, "item": item, "rater": rater, "label": label, "guideline": "v3"}
    )


def test_an_item_counts_by_its_raters_and_a_page_by_its_own_rating_where_there_is_one() -> None:
    first, second = draw(served("tail", 2, items=2), 2, 2, seed=1)
    ratings = [
        *(rating(first, "i0", "L4"), rating(first, "i0", "L2", "bob"), rating(first, "i1", "L3")),
        *(rating(second, "i0", "L1"), rating(second, "i1", "L2"), rating(second, None, "Mid")),
    ]
    values = people_values([first, second], ratings)
    assert values.items == {first.request: 0.75, second.request: 0.0}
    assert values.page == {first.request: 1.0, second.request: 1.0}


def test_what_is_not_rated_is_told_and_not_left_out() -> None:
    (row,) = draw(served("tail", 1, items=2), 1, 1, seed=1)
    with pytest.raises(ValueError, match=r"item 'i1': is not rated"):
        people_values([row], [rating(row, "i0", "L4")])


def test_what_the_judge_cannot_read_counts_as_not_good() -> None:
    (row,) = draw(served("tail", 1, items=2), 1, 1, seed=1)
    assert judge_values([row], [rating(row, "i0", "L4", "judge")]).items == {row.request: 0.5}


def test_ratings_of_what_was_not_drawn_or_of_one_rater_twice_are_refused() -> None:
    one, other = draw(served("tail", 2), 2, 1, seed=1)
    with pytest.raises(ValueError, match=r"item 'i9': was not drawn"):
        check([one], [rating(one, "i9", "L4")], people=True)
    with pytest.raises(ValueError, match=r"drawn for the judge alone"):
        check([one, other], [rating(other, "i0", "L4")], people=True)
    with pytest.raises(ValueError, match=r"rater 'ann' rated it twice"):
        check([one], [rating(one, "i0", "L4"), rating(one, "i0", "L2")], people=True)
