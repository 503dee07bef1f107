"""Which composition answers a query, and through which tiers: a pure decision (docs/adr/0002-routing-order.md).

1. The stable composition's snapshot gives the stratum whose weight counts.
2. A hash of the query key, or of the user's bucket, monotone in the weight, picks the candidate or the stable composition.
3. The chosen composition's own snapshot decides the tier, and every fallback is one of its own tiers.
"""

import hashlib
from collections.abc import Callable
from typing import Final

import msgspec

from lore_core.router.config import FULL_WEIGHT, STRATA, Composition, RouterConfig, Stratum, Tiers

SLOTS: Final = 10_000

StratumOf = Callable[[str], Stratum]
"""From a revision to the stratum that its snapshot gives the query at hand."""


class Choice(msgspec.Struct, frozen=True, gc=False):
    """The composition that answers, the stratum whose weight chose it, and the stratum of its own snapshot."""

    composition: Composition
    weight_stratum: Stratum
    stratum: Stratum


class Chain(msgspec.Struct, frozen=True, gc=False):
    """The tiers to try: the head generation first where `cached`, then predictors in order, then the neutral answer."""

    cached: bool
    predictors: tuple[Stratum, ...]


def slot(key: str, salt: str) -> int:
    """The place of a query key or a bucket among `SLOTS`, the same on every replica.

    The salt is the candidate's revision, so that each rollout begins with other queries.
    """
    digest = hashlib.blake2b(key.encode(), digest_size=8, salt=_salt(salt)).digest()
    return int.from_bytes(digest, "little") * SLOTS >> 64


def _salt(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=hashlib.blake2b.SALT_SIZE).digest()


def split_key(config: RouterConfig, key: str, bucket: str) -> str:
    """What is hashed for a weight: the user's bucket where the config splits by it and the caller names one, else the query."""
    return bucket if config.split_by == "Bucket" and bucket else key


def choose(config: RouterConfig, key: str, stratum_of: StratumOf, bucket: str = "") -> Choice:
    """The composition for a query key, of a caller who may have named a user's bucket."""
    weight_stratum = stratum_of(config.stable)
    candidate = config.candidate()
    if candidate is None:
        return Choice(config.stable_composition(), weight_stratum, weight_stratum)
    place = slot(split_key(config, key, bucket), candidate.revision)
    if place * FULL_WEIGHT >= candidate.weights.of(weight_stratum) * SLOTS:
        return Choice(config.stable_composition(), weight_stratum, weight_stratum)
    return Choice(candidate, weight_stratum, stratum_of(candidate.revision))


def chain(tiers: Tiers, stratum: Stratum) -> Chain:
    """The tiers of one composition for a stratum. A stratum without a tier is answered by the next one down."""
    present = tiers.present()
    name: Stratum = next(s for s in STRATA[STRATA.index(stratum) :] if s in present)
    cache = present[name].cache
    first = cache.on_miss if cache is not None else name
    predictor = present[first].predictor
    return Chain(cache is not None, (first, *(predictor.fallback if predictor is not None else ())))
