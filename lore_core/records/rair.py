"""A local copy of the released RAIR benchmark, read a few records at a time: its pictures alone are tens of gigabytes.

Layout and fields follow the authors' repository (luchenji/RAIR): three configs, each a folder of Parquet or JSONL files. Two totals
are in circulation, that of the paper and that of the released set; which one a copy has is recorded.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from lore_core.jobs.errors import JobError
from lore_core.records.errors import RecordError
from lore_core.records.jsonl import validated, write_jsonl
from lore_core.records.mapping import pair_id
from lore_core.records.pair import Pair
from lore_core.records.tables import read_table

CONFIGS: Final = {"General_Subset": "general", "Hard_Subset": "hard", "Visual_Subset": "visual"}
TOTALS: Final = {54_539: "paper", 48_949: "released"}
PICTURE: Final = "image_base64"
_SUFFIXES: Final = (".parquet", ".jsonl", ".jsonl.gz")
_FIELDS: Final = (
    *("query", "title", "item_id", "shop_name", "cpv_sku", "vqa_result", "rule_list", PICTURE, "groundtruth"),
    "industry",
)


def files(folder: Path) -> dict[str, list[Path]]:
    """Each config's files in name order, wherever below `folder` its own folder lies. Raises JobError for a missing config."""
    found = {}
    for config in CONFIGS:
        paths = sorted(
            path
            for path in folder.rglob("*")
            if path.is_file() and path.name.endswith(_SUFFIXES) and config in path.relative_to(folder).parts[:-1]
        )
        if not paths:
            raise JobError(
                "BadData",
                f"{folder}: no folder {config} with .parquet or .jsonl files; copy all three configs",
                file=str(folder),
            )
        found[config] = paths
    return found


def read_config(paths: list[Path], subset: str, *, pictures: bool) -> Iterator[Pair]:
    """The pairs of one config, streamed. Raises RecordError with file and row; the record's own `subset` is not believed."""
    left_out = frozenset({"subset"} if pictures else {"subset", PICTURE})
    for path in paths:
        for line, row in read_table(path, left_out):
            unknown = next((name for name in row if name not in _FIELDS), None)
            if unknown is not None:
                raise RecordError(
                    "not a field of a RAIR record",
                    "convert the copy or remove the column",
                    file=path,
                    line=line,
                    field=unknown,
                )
            values: dict[str, Any] = {name: value for name, value in row.items() if value is not None} | {
                "subset": subset
            }
            values["id"] = f"{subset}-{pair_id(values)}"
            yield validated(Pair, values, path, line)


def convert(folder: Path, into: Path, *, pictures: bool) -> tuple[dict[str, int], str]:
    """Write a benchmark's files from a copy of RAIR; pairs by subset, and which release their total is.

    Raises RecordError or JobError; a pair that occurs twice is one.
    """
    counts = {}
    for config, paths in files(folder).items():
        subset, seen = CONFIGS[config], Counter[str]()
        counts[subset] = write_jsonl(
            into / f"{subset}.jsonl", _lines(read_config(paths, subset, pictures=pictures), seen)
        )
        if double := next((name for name, times in seen.items() if times > 1), None):
            raise JobError(
                "BadRecord", f"{folder}/{config}: the pair {double} occurs {seen[double]} times; keep one", field="id"
            )
    return counts, TOTALS.get(sum(counts.values()), "other")


def _lines(pairs: Iterator[Pair], seen: Counter[str]) -> Iterator[dict[str, Any]]:
    for pair in pairs:
        seen[pair.id] += 1
        yield pair.model_dump(mode="json", exclude_defaults=True)
