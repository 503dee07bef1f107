"""`lore data import`: judgements of any origin become a `pairs` artifact, with items and a held-out benchmark beside it."""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from lore_core.artifacts import ArtifactError, ArtifactRef, publish
from lore_core.jobs.errors import JobError
from lore_core.records.errors import RecordError
from lore_core.records.files import SPLITS, write_pairs
from lore_core.records.item import ITEMS_NAME, Item, write_items
from lore_core.records.label import Label, label_schema_digest
from lore_core.records.leakage import Overlap, overlaps
from lore_core.records.mapping import Columns, PairSource, read_item_table
from lore_core.records.pair import Pair
from lore_core.records.split import split_by_query

GATE: Final = "gate"
_SHARES: Final = "train=80,tune=10,calibration=10"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore data import`."""
    add = parser.add_argument
    add("--pairs", required=True, type=Path, nargs="+", help="judgements: .jsonl, .csv (either may be .gz) or .parquet")
    add(
        "--holdout",
        type=Path,
        nargs="+",
        default=[],
        help="judgements that become the benchmark, none of them trained on",
    )
    add("--items", type=Path, help="catalogue to join by item_id")
    add(
        "--map",
        action="append",
        default=[],
        metavar="FIELD=COLUMN",
        help="which column of the judgements a field is read from",
    )
    add("--item-map", action="append", default=[], metavar="FIELD=COLUMN", help="the same for the catalogue")
    add(
        "--item-attribute",
        action="append",
        default=[],
        metavar="COLUMN",
        help="catalogue column that joins the attributes",
    )
    add("--tag", action="append", default=[], metavar="COLUMN", help="column of the judgements to slice scores by")
    add("--ignore", action="append", default=[], metavar="COLUMN", help="column of the judgements to leave out")
    add("--item-ignore", action="append", default=[], metavar="COLUMN", help="column of the catalogue to leave out")
    add(
        "--label",
        action="append",
        default=[],
        metavar="VALUE=LABEL",
        help="what a grade is called in the file, for example 0=L1",
    )
    add("--subset", default="general", help="subset of records that name none (default general)")
    add("--market", default="", help="market of records that name none")
    add(
        "--split", default=_SHARES, metavar="NAME=SHARE,…", help=f"shares of the queries (default {_SHARES}; also gate)"
    )
    add("--seed", type=int, default=17, help="which queries go where (default 17)")
    add("--out", required=True, help="folder or uri; artifacts become pairs/, items/ and benchmark/ below it")
    add("--credentials", help="folder with the keys of the store's Secret")


def run(args: argparse.Namespace) -> int:
    """Import; prints folder, uri and digest of each artifact, or the first error with file, line and field."""
    try:
        _import(args)
    except (JobError, ArtifactError, ValueError) as error:
        print(f"lore data import: {error}", file=sys.stderr)
        return 1
    return 0


def _import(args: argparse.Namespace) -> None:
    items = _items(args)
    source = PairSource(
        Columns(_assignments(args.map, "--map"), tags=tuple(args.tag), ignored=frozenset(args.ignore)),
        {value: _label(name) for value, name in _assignments(args.label, "--label").items()},
        {"subset": args.subset, "market": args.market},
    )
    seen: set[str] = set()
    splits = split_by_query(_read(source, args.pairs, items, seen), _shares(args.split), args.seed)
    splits[GATE] = [*splits.get(GATE, []), *_read(source, args.holdout, items, seen)]
    _refuse_leaks(overlaps(splits))
    _publish(args, splits, items)


def _items(args: argparse.Namespace) -> dict[str, Item] | None:
    if args.items is None:
        return None
    mapped = _assignments(args.item_map, "--item-map")
    columns = Columns(mapped, tuple(args.item_attribute), ignored=frozenset(args.item_ignore))
    return read_item_table(args.items, columns)


def _read(
    source: PairSource, paths: Sequence[Path], items: Mapping[str, Item] | None, seen: set[str]
) -> Iterator[Pair]:
    for path in paths:
        for line, pair in source.read(path, items):
            if pair.id in seen:
                problem = f"query {pair.query[:64]!r} with item {pair.item_id!r} (id {pair.id}) occurs a second time"
                raise RecordError(problem, "keep one judgement a pair", file=path, line=line, field="id")
            seen.add(pair.id)
            yield pair


def _refuse_leaks(found: Iterable[Overlap]) -> None:
    for overlap in found:
        print(
            f"{overlap.first} and {overlap.second} share {overlap.queries} queries, "
            f"{overlap.near_duplicate_queries} near-duplicate queries, {overlap.items} items, {overlap.pairs} pairs",
            file=sys.stderr,
        )
        if not overlap.clean:
            raise JobError(
                "SplitsOverlap",
                f"{overlap.first} and {overlap.second} share {overlap.queries} queries, for example "
                f"{list(overlap.examples)}; take them out of --pairs or --holdout",
                field="query",
            )


def _publish(args: argparse.Namespace, splits: Mapping[str, Sequence[Pair]], items: Mapping[str, Item] | None) -> None:
    uri = args.out if "://" in args.out else Path(args.out).resolve().as_uri()
    to = ArtifactRef(uri=uri, credentials=args.credentials)
    with tempfile.TemporaryDirectory(prefix="lore-import-") as name:
        scratch = Path(name)
        _publish_pairs(scratch / "pairs", to, "pairs", {split: splits.get(split, []) for split in SPLITS})
        if splits[GATE]:
            subsets = sorted({pair.subset for pair in splits[GATE]})
            by_subset = {subset: [pair for pair in splits[GATE] if pair.subset == subset] for subset in subsets}
            _publish_pairs(scratch / "benchmark", to, "benchmark", by_subset)
        if items is not None:
            folder = _made(scratch / "items")
            count = write_items(folder / ITEMS_NAME, items.values())
            _report("items", publish(folder, to.child("items"), "items", metadata={"items": count}))


def _publish_pairs(folder: Path, to: ArtifactRef, kind: str, files: Mapping[str, Sequence[Pair]]) -> None:
    _made(folder)
    counts: dict[str, JsonValue] = {name: write_pairs(folder / f"{name}.jsonl", pairs) for name, pairs in files.items()}
    metadata: dict[str, JsonValue] = {"counts": counts, "labelSchema": label_schema_digest()}
    _report(folder.name, publish(folder, to.child(folder.name), kind, metadata=metadata))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _report(name: str, ref: ArtifactRef) -> None:
    print(f"{name}\t{ref.uri}\t{ref.digest}", flush=True)


def _assignments(given: Sequence[str], option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise ValueError(f"{option} {text}: write it as NAME=VALUE")
        if name in found:
            raise ValueError(f"{option} {text}: {name} is given twice")
        found[name] = value
    return found


def _label(name: str) -> Label:
    if name not in Label.__members__:
        raise ValueError(f"--label …={name}: use L1, L2, L3 or L4")
    return Label(name)


def _shares(text: str) -> dict[str, float]:
    allowed = (*SPLITS, GATE)
    shares = {name: _share(value) for name, value in _assignments(text.split(","), "--split").items()}
    unknown = next((name for name in shares if name not in allowed), None)
    if unknown is not None or not any(shares.values()):
        raise ValueError(f"--split {text}: use positive shares of {', '.join(allowed)}")
    return shares


def _share(value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1e9:
        raise ValueError(f"--split …={value}: a share is a number of at least 0")
    return share
