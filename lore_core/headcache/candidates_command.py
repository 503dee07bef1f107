"""`lore head candidates`: impression logs to a published candidates artifact."""

import argparse
import sys
import tempfile
from pathlib import Path

from lore_core.artifacts.ref import ArtifactRef
from lore_core.artifacts.store import ArtifactError, file_digest, publish, verify
from lore_core.headcache.impressions import CandidateRecipe, read_candidate_pins, write_candidates
from lore_core.headcache.items import read_features
from lore_core.jobs.errors import JobError
from lore_core.strata.command import add_log_rules, log_rules
from lore_core.strata.log import LogError, column_map, log_files
from lore_core.strata.snapshot import SnapshotError, StrataSnapshot


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore head candidates`."""
    add = parser.add_argument
    add(
        "--impressions",
        required=True,
        help="log of .jsonl, .csv, .parquet: file, folder, pattern, or an artifact's uri",
    )
    add("--strata", required=True, help="uri of the strata snapshot that says which queries are head")
    add("--output", required=True, help="where to publish: pvc://CLAIM/PATH, s3://BUCKET/PATH, file:///PATH")
    add("--credentials", help="folder with the keys of the stores' Secret")
    add(
        "--column",
        action="append",
        default=[],
        metavar="FIELD=COLUMN",
        help="fields: query, item_id, market, count, date, user",
    )
    add("--top", type=int, default=100, help="items a query (default 100)")
    add("--items", help="uri of the items snapshot; items it lacks are left out")
    add("--pins", type=Path, help="candidates.jsonl of pairs to hold in any case; they come first")
    add(
        "--new-days",
        type=int,
        default=0,
        help="items first shown in the last days count by their rate; rows need a date",
    )
    add_log_rules(parser)


def run(args: argparse.Namespace) -> int:
    """Choose and publish; prints what was chosen and the artifact's digest."""
    try:
        with tempfile.TemporaryDirectory(prefix="lore-candidates-") as work:
            return _publish(args, Path(work))
    except (LogError, ArtifactError, JobError, SnapshotError, ValueError, OSError) as error:
        print(f"lore head candidates: {error}", file=sys.stderr)
        return 1


def _publish(args: argparse.Namespace, work: Path) -> int:
    refs = {"strata": args.strata} | ({"items": args.items} if args.items is not None else {})
    inputs = {
        name: verify(ArtifactRef(uri=uri, credentials=args.credentials), work / name).digest
        for name, uri in refs.items()
    }
    recipe = CandidateRecipe(
        top=args.top,
        rows=log_rules(args),
        new_days=args.new_days,
        columns=column_map(args.column),
        pins=read_candidate_pins(args.pins) if args.pins is not None else (),
        known=frozenset(name for name, _ in read_features(work / "items")) if args.items is not None else None,
        memory=args.memory,
    )
    files = log_files(args.impressions, work / "log", args.credentials)
    chosen = write_candidates(files, StrataSnapshot.open(work / "strata"), recipe, work / "out", work / "duckdb")
    inputs |= {f"log-{number}" if number else "log": file_digest(path)[0] for number, path in enumerate(files)}
    ref = publish(work / "out", ArtifactRef(uri=args.output, credentials=args.credentials), "candidates", inputs=inputs)
    print(f"{chosen.queries:,} queries, {chosen.pairs:,} pairs, {chosen.covered:.1%} of the head's impressions")
    print("log: " + ", ".join(f"{name} {value}" for name, value in chosen.counted.summary().items() if value))
    if chosen.gone:
        print(f"left out: {chosen.gone:,} pairs of items that the items snapshot lacks")
    for problem in chosen.counted.problems:
        print(f"broken: {problem}", file=sys.stderr)
    print(f"{ref.uri} {ref.digest}")
    return 0
