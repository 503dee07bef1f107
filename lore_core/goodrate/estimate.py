"""Estimates from a stratified sample, with the judge corrected by people where both rated.

Within a day and stratum every request has the same inclusion probability, so Horvitz and Thompson's estimate of the mean is the
sample's; cells are weighed by their traffic. With a judge it is the mean of the judge over the sample plus the mean of
people minus judge over their subsample: unbiased however wrong the judge is, and the tighter the better it is
(prediction-powered inference, Angelopoulos et al., Science 382, 2023; as a two-phase difference estimator with its variance
in Särndal, Swensson & Wretman, "Model Assisted Survey Sampling", 1992, section 9.7).
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from lore_core.evaluation.bootstrap import student_quantile
from lore_core.goodrate.rows import Drawn
from lore_core.goodrate.sampling import Cell, cell_of


@dataclass(frozen=True)
class Part:
    """One cell: traffic, how many requests people rated, the estimate, and its variance: None below two of more requests."""

    population: int
    rated: int
    value: float | None
    variance: float | None


@dataclass(frozen=True)
class Rate:
    """An estimate with a two-sided interval; bounds are None where of a cell people rated one of several requests."""

    value: float | None
    low: float | None
    high: float | None
    population: int
    rated: int


def parts(drawn: Sequence[Drawn], people: Mapping[str, float], judge: Mapping[str, float] | None) -> dict[Cell, Part]:
    """Of each day and stratum."""
    cells: defaultdict[Cell, list[Drawn]] = defaultdict(list)
    for row in drawn:
        cells[cell_of(row)].append(row)
    return {cell: _part(rows, people, judge) for cell, rows in cells.items()}


def _part(rows: Sequence[Drawn], people: Mapping[str, float], judge: Mapping[str, float] | None) -> Part:
    population, sampled = rows[0].population, len(rows)
    rated = [row.request for row in rows if row.people]
    if not rated:
        return Part(population, 0, None, None)
    seen, count = [people[request] for request in rated], len(rated)
    if count == population:  # nothing was left to chance, be it one request
        return Part(population, count, fmean(seen), 0.0)
    spread = variance(seen) if count > 1 else None
    if judge is None:
        error = None if spread is None else (1 - count / population) * spread / count
        return Part(population, count, fmean(seen), error)
    gaps = [people[request] - judge[request] for request in rated]
    value = fmean(judge[row.request] for row in rows) + fmean(gaps)
    if spread is None:
        return Part(population, count, value, None)
    first = (1 - sampled / population) * spread / sampled
    return Part(population, count, value, first + (1 - count / sampled) * variance(gaps) / count)


def combined(found: Sequence[Part], confidence: float = 0.95) -> Rate:
    """Cells together, weighed by their traffic. A cell without ratings leaves no estimate: it is not silently left out."""
    population, rated = sum(part.population for part in found), sum(part.rated for part in found)
    values = [(part.population / population, part.value) for part in found if part.value is not None]
    if len(values) < len(found):
        return Rate(None, None, None, population, rated)
    value = min(1.0, max(0.0, math.fsum(share * one for share, one in values)))
    errors = [(part.population / population) ** 2 * part.variance for part in found if part.variance is not None]
    if len(errors) < len(found):
        return Rate(value, None, None, population, rated)
    low, high = wilson(value, math.fsum(errors), rated, rated - len(found), confidence)
    return Rate(value, low, high, population, rated)


def wilson(value: float, error: float, rated: int, degrees: int, confidence: float) -> tuple[float, float]:
    """Wilson's interval at the effective sample size, with Student's quantile for few ratings.

    It stays in [0, 1] and has a width where all ratings are equal (Dean & Pagano, Statistics in Medicine 34, 2015).
    """
    effective = value * (1 - value) / error if error > 0 and 0 < value < 1 else float(rated)
    z = student_quantile(0.5 + confidence / 2, max(1, degrees))
    middle = (value + z * z / (2 * effective)) / (1 + z * z / effective)
    half = z / (1 + z * z / effective) * math.sqrt(value * (1 - value) / effective + z * z / (4 * effective**2))
    return max(0.0, middle - half), min(1.0, middle + half)
