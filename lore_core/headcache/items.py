"""Item features by id, and the hashes that bind a score to them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from lore_core.records.item import ITEMS_NAME, Item, read_items


@dataclass(frozen=True, slots=True)
class Features:
    """What a prompt can show of an item."""

    title: str
    shop_name: str = ""
    cpv_sku: dict[str, str] = field(default_factory=dict)
    vqa_result: str = ""
    image_base64: str = ""

    @classmethod
    def of(cls, item: Item) -> "Features":
        """Those of an item's record."""
        return cls(item.title, item.shop_name, dict(item.cpv_sku), item.vqa_result)

    @property
    def shows_something(self) -> bool:
        """Whether there is anything to judge; the name of a shop alone is nothing."""
        return bool(self.title.strip() or self.cpv_sku or self.vqa_result.strip() or self.image_base64)


class QueryItem(NamedTuple):
    """A query with one item, in the shape that prompts and rules read; it has no rule text of its own, hence no gold."""

    query: str
    market: str
    title: str = ""
    shop_name: str = ""
    cpv_sku: dict[str, str] = {}  # nobody writes to it
    vqa_result: str = ""
    image_base64: str = ""
    rule_list: str = ""

    @classmethod
    def of(cls, query: str, market: str, item: Features) -> Self:
        """A query with an item's features."""
        return cls(query, market, item.title, item.shop_name, item.cpv_sku, item.vqa_result, item.image_base64)


def read_features(folder: Path) -> Iterator[tuple[str, Features]]:
    """Id and features of every line of an items artifact. Raises RecordError naming file, line and field."""
    for item in read_items(folder / ITEMS_NAME):
        yield item.item_id, Features.of(item)


def item_hash(item_id: str) -> int:
    """BLAKE2b-64 of an item id, little-endian."""
    return int.from_bytes(hashlib.blake2b(item_id.encode(), digest_size=8).digest(), "little")


def content_hash(item: Features) -> int:
    """BLAKE2b-64 of all that a prompt can show of an item, little-endian; attribute order counts, since prompts keep it.

    Hashed are the lengths of all parts, then the parts, so that no text can imitate another division into parts.
    """
    if not (item.cpv_sku or item.shop_name or item.vqa_result or item.image_base64):
        return text_hash(item.title)
    parts = [item.title, item.shop_name, item.vqa_result]
    for name, value in item.cpv_sku.items():
        parts += (name, value)
    if item.image_base64:  # one part more than any item without a picture can have
        parts.append(item.image_base64)
    lengths = ",".join(str(len(part)) for part in parts)
    return _hash(f"{lengths};{''.join(parts)}")


def text_hash(title: str) -> int:
    """The content hash of an item that is nothing but a text."""
    return _hash(f"{len(title)},0,0;{title}")


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
