"""Annotated pairs: labels, the record, strict files of them, and the check that splits do not leak."""

from lore_core.records.errors import RecordError
from lore_core.records.files import SPLITS, read_pairs, read_splits, write_pairs
from lore_core.records.label import LABEL_DEFINITIONS, LABELS, Label, label_schema_digest
from lore_core.records.pair import Attributes, Needs, Pair, TraceStep

__all__ = [
    "LABELS",
    "LABEL_DEFINITIONS",
    "SPLITS",
    "Attributes",
    "Label",
    "Needs",
    "Pair",
    "RecordError",
    "TraceStep",
    "label_schema_digest",
    "read_pairs",
    "read_splits",
    "write_pairs",
]
