"""Which requests are rated: simple random samples without replacement within each day and stratum.

Each request's key is a keyed hash of its id, and the smallest keys of a cell are its sample: so a log of any length is read
once in memory that the sample alone needs, and every request of a cell has the same known probability, sampled / population.
Requests are the traffic's, so a frequent query is drawn as often as it is asked.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable
from hashlib import blake2b
from itertools import pairwise

from lore_core.goodrate.rows import Drawn, Served

Cell = tuple[str, str]
_Entry = tuple[tuple[int, str], int, Served]
"""Key (the smallest number first), place in the log, request."""


def cell_of(row: Served) -> Cell:
    """Day and stratum."""
    return row.date.isoformat(), row.stratum


def draw(served: Iterable[Served], size: int, people: int, seed: int) -> list[Drawn]:
    """At most `size` requests of each day and stratum, the first `people` of them for people.

    In the order of day, stratum and draw. Raises ValueError where a request id that was drawn occurs twice.
    """
    population: Counter[Cell] = Counter()
    kept: defaultdict[Cell, list[_Entry]] = defaultdict(list)
    for place, row in enumerate(served):
        cell, number = cell_of(row), _number(row.request, seed)
        population[cell] += 1
        entry = ((-number, row.request), place, row)
        if len(kept[cell]) < size:
            heapq.heappush(kept[cell], entry)
        elif entry[0] > kept[cell][0][0]:
            heapq.heapreplace(kept[cell], entry)
        elif entry[0] == kept[cell][0][0]:
            raise _twice(row.request)
    return [drawn for cell in sorted(kept) for drawn in _drawn(kept[cell], population[cell], people)]


def _drawn(entries: list[_Entry], population: int, people: int) -> list[Drawn]:
    rows = [row for _, _, row in sorted(entries, key=lambda entry: entry[0], reverse=True)]
    for one, other in pairwise(rows):  # equal ids have equal keys
        if one.request == other.request:
            raise _twice(one.request)
    rated = min(people, len(rows))
    design = {"population": population, "sampled": len(rows), "rated": rated}
    return [Drawn(**row.model_dump(), **design, people=place < rated) for place, row in enumerate(rows)]


def _twice(request: str) -> ValueError:
    return ValueError(f"request {request!r} occurs twice; give each request an id of its own")


def _number(request: str, seed: int) -> int:
    key = seed.to_bytes(8, "big", signed=True)
    return int.from_bytes(blake2b(request.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest(), "big")
