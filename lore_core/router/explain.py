"""Why a query is answered as it is: a pure reading of what serves, nothing is scored."""

from typing import Final

import msgspec

from lore_core.headcache.generation import head_query_hash
from lore_core.router.config import FULL_WEIGHT, Stratum
from lore_core.router.decision import SLOTS, chain, choose, slot, split_key
from lore_core.router.loaded import Serving
from lore_core.strata.normaliser import query_key

_CACHE: Final = "cache"


class Explanation(msgspec.Struct):
    """The steps of docs/adr/0002-routing-order.md for one query.

    `slot` (0 to 100, two decimals) is the place of the query, or of the user's bucket, in the rollout of `candidate`: it
    gets the candidate while its weight for `weight_stratum` is larger. `tiers` are asked in order, the last resort is the
    neutral answer. `head_pairs` is how many items of this query and market the head generation holds.
    """

    query_key: str
    stable: str
    weight_stratum: str
    candidate: str | None
    candidate_weight: int
    slot: float | None
    revision: str
    stratum: str
    tiers: list[str]
    head_pairs: int
    reason: str


def explain(serving: Serving, query: str, market: str, bucket: str = "") -> Explanation:
    """The decision for a query, of a caller who may have named a user's bucket."""
    key, config = query_key(query), serving.config

    def stratum_of(revision: str) -> Stratum:
        return serving.compositions[revision].strata.stratum_of_key(key)

    choice, split = choose(config, key, stratum_of, bucket), split_key(config, key, bucket)
    loaded = serving.compositions[choice.composition.revision]
    tiers, candidate = chain(choice.composition.tiers, choice.stratum), config.candidate()
    place = round(slot(split, candidate.revision) * FULL_WEIGHT / SLOTS, 2) if candidate is not None else None
    weight = candidate.weights.of(choice.weight_stratum) if candidate is not None else 0
    return Explanation(
        query_key=key,
        stable=config.stable,
        weight_stratum=choice.weight_stratum,
        candidate=candidate.revision if candidate is not None else None,
        candidate_weight=weight,
        slot=place,
        revision=choice.composition.revision,
        stratum=choice.stratum,
        tiers=[*([_CACHE] if tiers.cached else []), *tiers.predictors],
        head_pairs=loaded.head.pairs_of(head_query_hash(key, market)) if loaded.head is not None else 0,
        reason=_reason(choice.weight_stratum, config.stable, candidate.revision if candidate else None, place, weight),
    )


def _reason(stratum: str, stable: str, candidate: str | None, place: float | None, weight: int) -> str:
    said = f"{stable} has the query in {stratum}"
    if candidate is None or place is None:
        return f"{said}, and no other composition carries weight"
    taken = "below" if place < weight else "not below"
    return f"{said}, and its slot {place} is {taken} the weight {weight} of {candidate}"
