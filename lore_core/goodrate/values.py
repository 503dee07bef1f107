"""From ratings to one number a request, for people and for the judge."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from lore_core.goodrate.rows import Drawn, Rating

PAGE_SHARE: Final = 0.5
"""A page that nobody rated as a page counts as Good or Mid where at least this share of its items is good; our rule, no paper's."""


@dataclass(frozen=True)
class Values:
    """Of each request: the share of its items at L3 or L4 (`items`), and how far its page is Good or Mid (`page`)."""

    items: Mapping[str, float]
    page: Mapping[str, float]


def check(drawn: Sequence[Drawn], ratings: Iterable[Rating], *, people: bool) -> list[Rating]:
    """The ratings, each about something that was drawn and given once. Raises ValueError naming the first that is not."""
    known, seen, found = {row.request: row for row in drawn}, set[tuple[str, str | None, str]](), list[Rating]()
    for rating in ratings:
        row, key = known.get(rating.request), (rating.request, rating.item, rating.rater)
        if row is None or (rating.item is not None and rating.item not in row.items):
            raise ValueError(f"{_about(rating)}: was not drawn; rate what the sample holds")
        if people and not row.people:
            raise ValueError(f"{_about(rating)}: was drawn for the judge alone; people rate those with people: true")
        if key in seen:
            raise ValueError(f"{_about(rating)}: rater {rating.rater!r} rated it twice; keep one")
        seen.add(key)
        found.append(rating)
    return found


def people_values(drawn: Sequence[Drawn], ratings: Sequence[Rating]) -> Values:
    """Means over raters. Raises ValueError where something that was drawn for people is not rated: leaving it out is a bias."""
    items, pages = _by_thing(ratings)
    wanted = [row for row in drawn if row.people]
    for row in wanted:
        if missing := [item for item in row.items if (row.request, item) not in items]:
            raise ValueError(
                f"request {row.request!r}, item {missing[0]!r}: is not rated; rate all that was drawn for people"
            )
    shares = {row.request: fmean(items[row.request, item] for item in row.items) for row in wanted}
    page = {
        row.request: pages[row.request] if row.request in pages else float(shares[row.request] >= PAGE_SHARE)
        for row in wanted
    }
    return Values(shares, page)


def judge_values(drawn: Sequence[Drawn], ratings: Sequence[Rating]) -> Values:
    """The judge's, of every request that was drawn; what it gave no readable label counts as not good, and people correct it."""
    items, _ = _by_thing(ratings)
    shares = {row.request: fmean(items.get((row.request, item), 0.0) for item in row.items) for row in drawn}
    return Values(shares, {request: float(share >= PAGE_SHARE) for request, share in shares.items()})


def _by_thing(ratings: Iterable[Rating]) -> tuple[dict[tuple[str, str], float], dict[str, float]]:
    items, pages = defaultdict[tuple[str, str], list[float]](list), defaultdict[str, list[float]](list)
    for rating in ratings:
        if rating.item is None:
            pages[rating.request].append(float(rating.good))
        else:
            items[rating.request, rating.item].append(float(rating.good))
    return {key: fmean(found) for key, found in items.items()}, {key: fmean(found) for key, found in pages.items()}


def _about(rating: Rating) -> str:
    return f"request {rating.request!r}" + (f", item {rating.item!r}" if rating.item is not None else "")
