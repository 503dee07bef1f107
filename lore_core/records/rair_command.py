"""`lore data rair`: a local copy of the released RAIR set becomes a benchmark artifact."""

import argparse
import sys
import tempfile
from pathlib import Path

from pydantic import JsonValue

from lore_core.artifacts import ArtifactError, ArtifactRef, publish
from lore_core.jobs.errors import JobError
from lore_core.records.label import label_schema_digest
from lore_core.records.rair import convert


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore data rair`."""
    add = parser.add_argument
    add("folder", type=Path, help="the copy, with General_Subset, Hard_Subset and Visual_Subset below it")
    add("--out", required=True, help="folder or uri of the benchmark")
    add("--pictures", action="store_true", help="keep the pictures; without, what vqa_result says of them is all")
    add("--credentials", help="folder with the keys of the store's Secret")


def run(args: argparse.Namespace) -> int:
    """Convert; prints uri, digest, pairs and which of the published totals that is."""
    uri = args.out if "://" in args.out else Path(args.out).resolve().as_uri()
    try:
        with tempfile.TemporaryDirectory(prefix="lore-rair-") as scratch:
            counts, release = convert(args.folder, Path(scratch), pictures=args.pictures)
            metadata: dict[str, JsonValue] = {
                "counts": {**counts},
                "labelSchema": label_schema_digest(),
                "rairTotal": release,
            }
            made = publish(
                Path(scratch), ArtifactRef(uri=uri, credentials=args.credentials), "benchmark", metadata=metadata
            )
    except (JobError, ArtifactError) as error:
        print(f"lore data rair: {error}", file=sys.stderr)
        return 1
    print(f"benchmark\t{made.uri}\t{made.digest}\t{sum(counts.values())} pairs ({release} total)")
    return 0
