"""Head generations: scores computed offline, immutable, memory-mapped, bound to the item text they were computed from."""

from lore_core.headcache.generation import GenerationError, HeadEntry, HeadGeneration, Lookup
from lore_core.headcache.items import Features, QueryItem, content_hash, item_hash, read_features

__all__ = [
    "Features",
    "GenerationError",
    "HeadEntry",
    "HeadGeneration",
    "Lookup",
    "QueryItem",
    "content_hash",
    "item_hash",
    "read_features",
]
