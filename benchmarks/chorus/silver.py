"""Silver pairs: queries made of title words and their candidates, for a teacher to label.

A hundred judged queries do not show a cross-encoder enough of what is asked of it, so it learns from pairs nobody judged,
too. Queries and titles of judged pairs are left out: nothing about the pairs that are judged later is seen.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from benchmarks.chorus.baselines import words
from lore_core.records import Label, Pair

QUERIES: Final = 900
_LONGEST_QUERY: Final = 3
_SIMILAR: Final = 8
_OTHERS: Final = 6
_SEED: Final = 17


def silver_pairs(titles: Sequence[str], judged: Sequence[Pair], count: int = QUERIES) -> list[Pair]:
    """`count` queries of one to three neighbouring title words, each with titles that share a word and others that need not.

    The label of these pairs is not known: L1 stands there until a teacher puts its own.
    """
    taken, asked = {pair.title for pair in judged}, {pair.query for pair in judged}
    free = sorted({title for title in titles if words(title)} - taken)
    holders: dict[str, list[int]] = defaultdict(list)
    for row, title in enumerate(free):
        for word in set(words(title)):
            holders[word].append(row)
    random = np.random.default_rng(_SEED)
    found = []
    for query in _queries(free, asked, count, random):
        similar = sorted({row for word in words(query) for row in holders[word]})
        chosen = [*random.permutation(similar)[:_SIMILAR], *random.integers(0, len(free), _OTHERS)]
        found += [_pair(query, free[row], f"silver-{len(found) + place}") for place, row in enumerate(chosen)]
    return found


def _queries(titles: Sequence[str], asked: set[str], count: int, random: np.random.Generator) -> Iterator[str]:
    seen = set(asked)
    for row in random.permutation(len(titles)):
        if count == 0:
            return
        title = words(titles[row])
        length = min(int(random.integers(1, _LONGEST_QUERY + 1)), len(title))
        start = int(random.integers(0, len(title) - length + 1))
        query = " ".join(title[start : start + length])
        if query not in seen:
            seen.add(query)
            count -= 1
            yield query


def _pair(query: str, title: str, name: str) -> Pair:
    return Pair(id=name, item_id=name, query=query, title=title, groundtruth=Label.L1, subset="general")
