"""Annotated pairs: labels, the record, strict files of them, and the check that splits do not leak."""

from lore_core.records.errors import RecordError
from lore_core.records.files import SPLITS, read_pairs, read_splits, write_pairs
from lore_core.records.item import ITEMS_NAME, Item, read_items, write_items
from lore_core.records.label import LABEL_DEFINITIONS, LABELS, Label, label_schema_digest
from lore_core.records.pair import Attributes, Needs, Pair, TraceStep
from lore_core.records.verdict import Verdict, aggregate, trace_label

__all__ = [
    "ITEMS_NAME",
    "LABELS",
    "LABEL_DEFINITIONS",
    "SPLITS",
    "Attributes",
    "Item",
    "Label",
    "Needs",
    "Pair",
    "RecordError",
    "TraceStep",
    "Verdict",
    "aggregate",
    "label_schema_digest",
    "read_items",
    "read_pairs",
    "read_splits",
    "trace_label",
    "write_items",
    "write_pairs",
]
