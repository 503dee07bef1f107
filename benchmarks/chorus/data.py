"""The Chorus pairs, read strictly from LORE_CHORUS_DIR, and folds that share no query."""

import gzip
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lore_core.records import Pair
from lore_core.records.mapping import Columns, PairSource, read_item_table

FOLDS: Final = 5
_ITEMS: Final = Columns(
    {"cpv_sku": "attributes"},
    ("brand",),
    ignored=frozenset({"price_cents", "short_description", "image_url", "date_released"}),
)
_PAIRS: Final = PairSource(
    Columns({"groundtruth": "label"}, ignored=frozenset({"rater_grades"})), constants={"subset": "general"}
)


def chorus_folder() -> Path:
    """The folder that LORE_CHORUS_DIR names. SystemExit with the remedy where there is none."""
    folder = os.environ.get("LORE_CHORUS_DIR")
    if not folder or not (Path(folder) / "train.jsonl").is_file():
        raise SystemExit("LORE_CHORUS_DIR: set it to the folder with train.jsonl, dev.jsonl and items.jsonl.gz")
    return Path(folder)


def load_pairs(folder: Path) -> list[Pair]:
    """All judged pairs, train and dev together, in file order. Raises RecordError."""
    items = read_item_table(folder / "items.jsonl.gz", _ITEMS)
    return [pair for name in ("train", "dev") for _, pair in _PAIRS.read(folder / f"{name}.jsonl", items)]


def load_titles(folder: Path) -> list[str]:
    """Titles of the whole catalogue, for corpus statistics."""
    with gzip.open(folder / "items.jsonl.gz", "rt", encoding="utf-8") as stream:
        return [str(json.loads(line)["title"]) for line in stream]


def fold_of(pairs: Sequence[Pair]) -> dict[str, int]:
    """Fold of each query: largest queries first, each into the fold with the fewest pairs so far."""
    sizes = Counter(pair.query for pair in pairs)
    loads, folds = [0] * FOLDS, {}
    for query, size in sorted(sizes.items(), key=lambda entry: (-entry[1], entry[0])):
        folds[query] = loads.index(min(loads))
        loads[folds[query]] += size
    return folds
