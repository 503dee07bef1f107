"""The world in words: queries, titles, attribute maps and captions, as they stand in records."""

from lore_core.benchmark.things import Demand, Offer, Thing
from lore_core.benchmark.vocabulary import ALIASES, BESIDE, COMPANION, KIND, PICTURED, PRINTS, SHOWS


def query_text(demand: Demand) -> str:
    """The query, with aliases where the demand has them."""
    kind = _said(demand, KIND, demand.kind)
    values = " ".join(_said(demand, name, value) for name, value in demand.values.items())
    return " ".join({"k": kind, "v": values}.get(word, word) for word in demand.template.split())


def _said(demand: Demand, part: str, term: str) -> str:
    return ALIASES[term] if part in demand.aliased else term


def title(offer: Offer) -> str:
    """Both kinds, the main one first; a pictured offer's title does not say what its picture shows."""
    if offer.pictured:
        return f" {COMPANION} ".join(PRINTS)
    return f"{offer.main.kind} {COMPANION} {offer.companion.kind}"


def attributes(offer: Offer) -> dict[str, str]:
    """`main with companion` a dimension; drawn dimensions of a pictured offer are left to its picture."""
    return {
        name: f"{value} {COMPANION} {offer.companion.values[name]}"
        for name, value in offer.main.values.items()
        if not (offer.pictured and name in PICTURED)
    }


def caption(offer: Offer) -> str:
    """The picture in words, the main motif first; empty where there is no picture."""
    if not offer.pictured:
        return ""
    return f"{SHOWS} {_motif(offer.main)} {BESIDE} {_motif(offer.companion)}"


def _motif(thing: Thing) -> str:
    return " ".join([thing.kind, *(thing.values[name] for name in PICTURED)])
