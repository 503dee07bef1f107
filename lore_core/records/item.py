"""One catalogue item as artifacts of kind `items` hold it: what a prompt shows of it, without its picture's bytes."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Strict, StringConstraints

from lore_core.records.errors import RecordError
from lore_core.records.jsonl import read_records, write_jsonl
from lore_core.records.pair import MAX_TITLE, Attributes, Identifier, Text

ITEMS_NAME = "items.jsonl"


class Item(BaseModel):
    """Field names are those of a pair, so an item joined to a query reads like a record."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    item_id: Identifier
    title: Annotated[str, Strict(), StringConstraints(max_length=MAX_TITLE)]
    shop_name: Annotated[str, Strict(), StringConstraints(max_length=MAX_TITLE)] = ""
    cpv_sku: Attributes = {}
    vqa_result: Text = ""


def read_items(path: Path) -> Iterator[Item]:
    """Stream `items.jsonl`; a bad line or an id that occurs twice raises RecordError."""
    seen: set[str] = set()
    for line, item in read_records(path, Item):
        if item.item_id in seen:
            raise RecordError(
                f"the item id {item.item_id!r} occurs a second time",
                "keep one line an item",
                file=path,
                line=line,
                field="item_id",
            )
        seen.add(item.item_id)
        yield item


def write_items(path: Path, items: Iterable[Item]) -> int:
    """Write items one a line; returns their number."""
    return write_jsonl(path, (item.model_dump(mode="json", exclude_defaults=True) for item in items))
