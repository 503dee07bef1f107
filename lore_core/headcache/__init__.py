"""Head generations: scores computed offline, immutable, memory-mapped, bound to the item text they were computed from."""

from lore_core.headcache.generation import GenerationError, HeadEntry, HeadGeneration, Lookup
from lore_core.headcache.items import Item, QueryItem, content_hash, item_hash, read_items

__all__ = [
    "GenerationError",
    "HeadEntry",
    "HeadGeneration",
    "Item",
    "Lookup",
    "QueryItem",
    "content_hash",
    "item_hash",
    "read_items",
]
