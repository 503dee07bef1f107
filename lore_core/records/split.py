"""Splitting pairs by query: all pairs of a query, however it is spelled, go to one split."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from lore_core.records.leakage import canonical_query
from lore_core.records.pair import Pair


def split_by_query(pairs: Iterable[Pair], shares: Mapping[str, float], seed: int) -> dict[str, list[Pair]]:
    """Pairs by split. Queries are ordered by a seeded hash and cut at the shares, so file order does not matter.

    Shares are relative; a split with a positive share gets at least one query. ValueError where there are too few.
    """
    rows = list(pairs)
    queries = sorted({canonical_query(pair.query) for pair in rows}, key=lambda text: _place(text, seed))
    home = _homes(queries, {name: share for name, share in shares.items() if share > 0})
    found: dict[str, list[Pair]] = {name: [] for name in shares}
    for pair in rows:
        found[home[canonical_query(pair.query)]].append(pair)
    return found


def _place(text: str, seed: int) -> str:
    return sha256(f"{seed}\x1f{text}".encode()).hexdigest()


def _homes(queries: Sequence[str], shares: Mapping[str, float]) -> dict[str, str]:
    if len(queries) < len(shares):
        raise ValueError(f"{len(queries)} queries cannot fill {len(shares)} splits; give more data or fewer splits")
    total, home = sum(shares.values()), dict[str, str]()
    start, reached = 0, 0.0
    for number, (name, share) in enumerate(shares.items(), start=1):
        reached += share
        left = len(queries) - (len(shares) - number)
        end = min(max(start + 1, round(len(queries) * reached / total)), left)
        home |= dict.fromkeys(queries[start:end], name)
        start = end
    return home
