"""The words that the generated world's texts are made of."""

from lore_core.benchmark.rulebook import rule_ids
from lore_core.benchmark.vocabulary import (
    ALIASES,
    BESIDE,
    CENTRAL,
    COMPANION,
    DIMENSIONS,
    FACT_WORDS,
    HELD_OUT_TEMPLATES,
    MARKETS,
    MOTIFS,
    PRINTS,
    PRODUCTS,
    RULE_WORDS,
    SHOPS,
    SHOWS,
    TEMPLATES,
)


def vocabulary() -> tuple[str, ...]:
    """Every word that the world's texts use, rule ids included; sorted."""
    templates = {word for template in (*TEMPLATES, *HELD_OUT_TEMPLATES) for word in template.split()} - {"k", "v"}
    found = {*PRODUCTS, *MOTIFS, *PRINTS, *SHOPS, *ALIASES.values(), *templates, *RULE_WORDS, *FACT_WORDS, *rule_ids()}
    found |= {COMPANION, SHOWS, BESIDE, CENTRAL, *MARKETS}
    for dimension in DIMENSIONS:
        found |= {dimension.name, *dimension.values}
    return tuple(sorted(found))
