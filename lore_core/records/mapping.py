"""From foreign columns to pairs and items: which column is which field, what the labels are called, where items come from."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from lore_core.records.errors import RecordError
from lore_core.records.item import Item
from lore_core.records.jsonl import validated
from lore_core.records.label import Label
from lore_core.records.pair import Pair, attribute_map, attribute_text
from lore_core.records.tables import Row, read_table

LABEL: Final = "groundtruth"
ATTRIBUTES: Final = "cpv_sku"
TAGS: Final = "tags"


@dataclass(frozen=True, slots=True)
class Columns:
    """Field → column. `attributes` join the attribute map and `tags` the tags, under their own names; `ignored` are dropped."""

    fields: Mapping[str, str] = field(default_factory=dict)
    attributes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    ignored: frozenset[str] = frozenset()

    def values(self, row: Row, known: Iterable[str], file: Path, line: int) -> dict[str, Any]:
        """A row's fields; a column that is mapped to nothing raises RecordError. Null cells count as absent."""
        names = {self.fields.get(name, name): name for name in known}
        self._check(row, names, file, line)
        found = {names[column]: value for column, value in row.items() if column in names and value is not None}
        if self.attributes:
            found[ATTRIBUTES] = self._attributes(row, found.get(ATTRIBUTES, {}), file, line)
        if self.tags:
            found[TAGS] = {name: attribute_text(row[name]) for name in self.tags if row.get(name) not in (None, "")}
        return found

    def _check(self, row: Row, names: Mapping[str, str], file: Path, line: int) -> None:
        used = {*names, *self.attributes, *self.tags, *self.ignored}
        unknown = next((column for column in row if column not in used), None)
        if unknown is not None:
            remedy = f"map it (--map FIELD={unknown}) or leave it out (--ignore {unknown})"
            raise RecordError("a column that no field is mapped to", remedy, file=file, line=line, field=unknown)
        gone = next((c for f, c in self.fields.items() if c not in row and f in names.values()), None)
        if gone is not None:
            remedy = f"the columns are {', '.join(list(row)[:20])}"
            raise RecordError("the mapped column is missing", remedy, file=file, line=line, field=gone)

    def _attributes(self, row: Row, given: Any, file: Path, line: int) -> Any:
        try:
            attributes = attribute_map(given)
        except ValueError as error:
            remedy = "write a JSON object of names and texts"
            raise RecordError(
                f"not an attribute map: {error}", remedy, file=file, line=line, field=ATTRIBUTES
            ) from error
        if not isinstance(attributes, dict):
            return attributes
        extra = {name: attribute_text(row[name]) for name in self.attributes if row.get(name) not in (None, "")}
        return extra | attributes


@dataclass(frozen=True, slots=True)
class PairSource:
    """How a foreign file of judgements becomes pairs."""

    columns: Columns
    labels: Mapping[str, Label] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)

    def read(self, path: Path, items: Mapping[str, Item] | None = None) -> Iterator[tuple[int, Pair]]:
        """Stream line and pair, joined with `items` by item_id where given. Raises RecordError."""
        for line, row in read_table(path):
            values = dict(self.constants) | self.columns.values(row, Pair.model_fields, path, line)
            if LABEL in values:
                values[LABEL] = self._label(values[LABEL], path, line)
            if items is not None:
                values = _joined(values, items, path, line)
            values.setdefault("id", pair_id(values))
            yield line, validated(Pair, values, path, line)

    def _label(self, value: Any, file: Path, line: int) -> Any:
        text = str(attribute_text(value)).strip()
        if text in self.labels:
            return self.labels[text]
        if self.labels:
            known = ", ".join(sorted(self.labels))
            remedy = f"map it (--label {text[:32]}=L1); mapped are {known}"
            raise RecordError(f"the label {text[:64]!r} is not mapped", remedy, file=file, line=line, field=LABEL)
        return text


def _joined(values: dict[str, Any], items: Mapping[str, Item], file: Path, line: int) -> dict[str, Any]:
    """The pair's own fields over its item's."""
    identity = str(values.get("item_id", ""))
    if identity not in items:
        problem = f"no item {identity[:64]!r} in the items file"
        raise RecordError(problem, "add the item or remove the pair", file=file, line=line, field="item_id")
    item = items[identity].model_dump(exclude_defaults=True)
    return item | values


def pair_id(values: Mapping[str, Any]) -> str:
    """One id for one query, item and market, so that a pair judged twice is found."""
    parts = (str(values.get(name, "")) for name in ("query", "item_id", "market"))
    return "p" + sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:20]


def read_item_table(path: Path, columns: Columns) -> dict[str, Item]:
    """Items by id, in file order. Raises RecordError for a bad row or an id that occurs twice."""
    found: dict[str, Item] = {}
    for line, row in read_table(path):
        item = validated(Item, columns.values(row, Item.model_fields, path, line), path, line)
        if item.item_id in found:
            problem = f"the item id {item.item_id!r} occurs a second time"
            raise RecordError(problem, "keep one row an item", file=path, line=line, field="item_id")
        found[item.item_id] = item
    return found
