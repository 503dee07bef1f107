"""How far raters agree beyond chance."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

Distance = Callable[[int, int], float]


def krippendorff_alpha(units: Iterable[Sequence[int]], values: int, *, ordinal: bool) -> float | None:
    """Krippendorff's alpha of units rated with whole numbers below `values`; None where nothing could disagree.

    Any number of raters, gaps allowed (Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011): units with fewer than two
    ratings say nothing. 1 is agreement, 0 what chance gives.
    """
    pairs: defaultdict[tuple[int, int], float] = defaultdict(float)
    for unit in units:
        for first, one in enumerate(unit):
            for second, other in enumerate(unit):
                if first != second:
                    pairs[one, other] += 1.0 / (len(unit) - 1)
    totals = [sum(pairs.get((one, other), 0.0) for other in range(values)) for one in range(values)]
    distance = _ordinal(totals) if ordinal else _nominal
    count = sum(totals)
    seen = sum(weight * distance(*pair) for pair, weight in pairs.items())
    by_chance = sum(
        totals[one] * totals[other] * distance(one, other) for one in range(values) for other in range(values)
    )
    return None if by_chance == 0 else 1.0 - (count - 1) * seen / by_chance


def _nominal(one: int, other: int) -> float:
    return float(one != other)


def _ordinal(totals: Sequence[float]) -> Distance:
    def distance(one: int, other: int) -> float:
        low, high = sorted((one, other))
        return (sum(totals[low : high + 1]) - (totals[low] + totals[high]) / 2) ** 2

    return distance


def cohen_kappa(first: Mapping[Hashable, bool], second: Mapping[Hashable, bool]) -> tuple[float | None, float, int]:
    """Kappa of two raters' yes and no, the share they agree on, and on how many things both spoke.

    Kappa is None where chance alone would agree always (Cohen, Educational and Psychological Measurement 20, 1960).
    """
    both = [(first[thing], second[thing]) for thing in first.keys() & second.keys()]
    if not both:
        return None, 0.0, 0
    seen, count = Counter(both), len(both)
    agreed = (seen[True, True] + seen[False, False]) / count
    yes, other_yes = (seen[True, True] + seen[True, False]) / count, (seen[True, True] + seen[False, True]) / count
    by_chance = yes * other_yes + (1 - yes) * (1 - other_yes)
    return (None if by_chance == 1 else (agreed - by_chance) / (1 - by_chance)), agreed, count
