"""Which differences from the champion are more than chance: paired p-values, corrected for how many were looked at.

Over all pairs the headline metrics are one family of claims, corrected by Holm: whoever says "better in one of them" may.
The slices are a list to look through, corrected by Benjamini and Hochberg: a bound on its share of false finds. Required
gates need neither, since all of them must hold.
"""

from collections.abc import Iterator
from typing import Final, Literal

from lore_core.evaluation.gates import number
from lore_core.evaluation.paired import benjamini_hochberg, holm
from lore_core.evaluation.scores import HEADLINE, slice_selectors
from lore_core.evaluation.slices import Slice
from lore_core.jobs.config import Decimal, WireModel

ALL: Final = "all pairs"
Correction = Literal["Holm", "BenjaminiHochberg"]


class Comparison(WireModel):
    """One metric over one slice against the champion: how much worse, the paired p-value, and that corrected for the list."""

    metric: str
    slice: str
    regression: Decimal
    p: Decimal
    adjusted: Decimal
    correction: Correction
    queries: int


def comparisons(scores: Slice) -> list[Comparison]:
    """Headline metrics over all pairs, then over every slice, the worst slice first; nothing without a champion."""
    if scores.champion is None:
        return []
    slices = [(f"{field}={value}", scores.narrowed({field: value})) for field, value in _values(scores)]
    overall = list(_tested([(ALL, scores)]))
    sliced = sorted(_tested(slices), key=lambda found: (-found[3], found[1], found[0]))
    return [*_adjusted(overall, "Holm"), *_adjusted(sliced, "BenjaminiHochberg")]


_Tested = tuple[str, str, Slice, float, float]


def _values(scores: Slice) -> Iterator[tuple[str, str]]:
    for where in slice_selectors(scores):
        yield from where.items()


def _tested(slices: list[tuple[str, Slice]]) -> Iterator[_Tested]:
    for where, part in slices:
        for name in HEADLINE:
            p, regression = part.sign_flip(name), part.regression(name)
            if p is not None:
                yield name, where, part, regression, p


def _adjusted(found: list[_Tested], correction: Correction) -> list[Comparison]:
    adjust = holm if correction == "Holm" else benjamini_hochberg
    return [
        Comparison(
            metric=name,
            slice=where,
            regression=str(number(regression)),
            p=str(number(p)),
            adjusted=str(number(adjusted)),
            correction=correction,
            queries=part.candidate.queries,
        )
        for (name, where, part, regression, p), adjusted in zip(found, adjust([one[4] for one in found]), strict=True)
    ]
