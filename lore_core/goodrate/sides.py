"""Good, same, bad: two revisions side by side, corrected for the side that raters prefer.

Each share is the mean of its values with the candidate on the left and with it on the right: a liking for one side, that adds to
one and takes from the other, falls out. Votes on one query are one observation: the variance is that of the queries'
contributions (a linearised ratio, Särndal, Swensson & Wretman, "Model Assisted Survey Sampling", 1992, section 5.5).
"""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lore_core.goodrate.estimate import wilson
from lore_core.goodrate.rows import Vote

Score = Callable[[Vote], float]
_MIDDLE: Final = 0.5


@dataclass(frozen=True)
class Share:
    """A share with a two-sided 95 % interval; bounds are None where votes are on fewer than two queries."""

    value: float
    low: float | None
    high: float | None


def compared(votes: Sequence[Vote], candidate: str, base: str) -> dict[str, Any]:
    """How often the candidate is better, the same and worse, and what raters do with the sides, as JSON.

    `advantage` is good minus bad, from -1 to 1. `left` is the share of decided votes for the left side; `leftPreferred` says
    whether its interval leaves out one half. Raises ValueError naming what cannot be used.
    """
    _check(votes, candidate, base)
    shares = {
        "good": _swapped(votes, candidate, lambda vote: float(vote.better == candidate)),
        "same": _swapped(votes, candidate, lambda vote: float(vote.better is None)),
        "bad": _swapped(votes, candidate, lambda vote: float(vote.better == base)),
    }
    half = _swapped(votes, candidate, lambda vote: _MIDDLE + ((vote.better == candidate) - (vote.better == base)) / 2)
    low, high = (None if bound is None else 2 * bound - 1 for bound in (half.low, half.high))
    decided = [vote for vote in votes if vote.better is not None]
    left = _mean([(decided, lambda vote: float(vote.vote == "left"))]) if decided else None
    return {
        "candidate": candidate,
        "base": base,
        **{name: _told(share) for name, share in shares.items()},
        "advantage": _told(Share(2 * half.value - 1, low, high)),
        "left": _told(left) if left else None,
        "leftPreferred": _beside_middle(left) if left else None,
        "swappedAlike": _alike(votes),
        "votes": len(votes),
        "queries": len({vote.query for vote in votes}),
        "raters": len({vote.rater for vote in votes}),
        "guidelines": sorted({vote.guideline for vote in votes}),
    }


def _check(votes: Sequence[Vote], candidate: str, base: str) -> None:
    seen: set[Hashable] = set()
    for number, vote in enumerate(votes, start=1):
        if candidate == base or {vote.left, vote.right} != {candidate, base}:
            raise ValueError(
                f"vote {number}: is between {vote.left!r} and {vote.right!r}, not {candidate!r} and {base!r}"
            )
        if (key := (vote.query, vote.rater, vote.left)) in seen:
            raise ValueError(
                f"vote {number}: {vote.rater!r} voted twice on {vote.query!r} with the same sides; keep one"
            )
        seen.add(key)
    for side in (candidate, base):
        if not any(vote.left == side for vote in votes):
            raise ValueError(
                f"no vote has {side!r} on the left: show each query with both sides swapped for half of the votes"
            )


def _swapped(votes: Sequence[Vote], candidate: str, score: Score) -> Share:
    sides = [[vote for vote in votes if (vote.left == candidate) is left] for left in (True, False)]
    return _mean([(side, score) for side in sides])


def _mean(groups: Sequence[tuple[Sequence[Vote], Score]]) -> Share:
    """The mean of the groups' means, with an interval over queries."""
    value, parts = 0.0, defaultdict[str, float](float)
    for votes, score in groups:
        mean = math.fsum(map(score, votes)) / len(votes)
        value += mean / len(groups)
        for vote in votes:
            parts[vote.query] += (score(vote) - mean) / len(votes) / len(groups)
    queries = len(parts)
    if queries < 2:
        return Share(value, None, None)
    error = queries / (queries - 1) * math.fsum(part * part for part in parts.values())
    return Share(value, *wilson(value, error, queries, queries - 1, 0.95))


def _beside_middle(share: Share) -> bool | None:
    return None if share.low is None or share.high is None else not share.low <= _MIDDLE <= share.high


def _alike(votes: Sequence[Vote]) -> dict[str, Any]:
    """Raters who saw one query both ways, and how often they said the same of the revisions."""
    seen: defaultdict[Hashable, list[str | None]] = defaultdict(list)
    for vote in votes:
        seen[vote.query, vote.rater].append(vote.better)
    both = [said for said in seen.values() if len(said) == 2]
    share = sum(first == second for first, second in both) / len(both) if both else None
    return {"pairs": len(both), "share": None if share is None else round(share, 6)}


def _told(share: Share) -> dict[str, float | None]:
    numbers = {"value": share.value, "low": share.low, "high": share.high}
    return {name: None if number is None else round(number, 6) + 0.0 for name, number in numbers.items()}
