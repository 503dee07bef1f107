"""A simulated shop: Zipf queries, ranked items a query, and a catalogue of which a share changes every day."""

import random
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True)
class Shape:
    """Size of the shop. `churn` of the items change a day: half get another title, half are replaced by new items."""

    queries: int
    requests: int
    pool: int = 120
    page: int = 40
    churn: float = 0.02
    skew: float = 1.05


@dataclass(frozen=True)
class Request:
    """One search: the query and the items shown, by id and title."""

    query: str
    items: tuple[tuple[str, str], ...]


class Shop:
    """Each query ranks a pool of its own; a page is the top of it with some of the rest, as users filter and page on."""

    def __init__(self, shape: Shape, seed: int) -> None:
        self._shape, self._random = shape, random.Random(seed)
        self._cumulative = list(accumulate((rank + 1) ** -shape.skew for rank in range(shape.queries)))
        self._versions: dict[tuple[int, int], tuple[int, int]] = {}

    def item(self, query: int, place: int) -> tuple[str, str]:
        """Id and title of the item that stands at a place of a query's pool today."""
        replaced, renamed = self._versions.get((query, place), (0, 0))
        return f"i{query}-{place}-{replaced}", f"item {place} of query {query}, edition {replaced}.{renamed}"

    def next_day(self) -> None:
        """Change the catalogue."""
        shape = self._shape
        for _ in range(round(shape.queries * shape.pool * shape.churn)):
            place = (self._random.randrange(shape.queries), self._random.randrange(shape.pool))
            replaced, renamed = self._versions.get(place, (0, 0))
            self._versions[place] = (replaced + 1, 0) if self._random.random() < 0.5 else (replaced, renamed + 1)

    def day(self) -> Iterator[Request]:
        """One day's searches."""
        shape, draw = self._shape, self._random
        for _ in range(shape.requests):
            query = bisect(self._cumulative, draw.random() * self._cumulative[-1])
            top = range(shape.page * 3 // 4)
            rest = draw.sample(range(len(top), shape.pool), shape.page - len(top))
            yield Request(f"query {query}", tuple(self.item(query, place) for place in (*top, *rest)))
