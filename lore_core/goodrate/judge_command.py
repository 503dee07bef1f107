"""`lore goodrate judge SAMPLE`: an endpoint rates every item of a sample."""

import argparse
import asyncio
import sys
from pathlib import Path

from pydantic import ValidationError

from lore_core.artifacts import ArtifactRef
from lore_core.goodrate.judge import RUBRIC, judge, shown
from lore_core.goodrate.rows import read_drawn
from lore_core.jobs import JudgedEndpoint
from lore_core.jobs.errors import JobError
from lore_core.records import RecordError
from lore_core.records.item import read_items
from lore_core.records.jsonl import write_jsonl


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore goodrate judge`."""
    add = parser.add_argument
    add("sample", type=Path, help="what `lore goodrate sample` wrote")
    add("--items", type=Path, required=True, help="items.jsonl with the texts of what was shown")
    add("--url", required=True, help="OpenAI-compatible endpoint, up to and including /v1")
    add("--model", required=True, help="the model's name there; not one of the served model's lineage")
    add("--answers-as", help="the name under which it answers, where that is another")
    add("--reasoning-model", action="store_true", help="it refuses temperature, seed and max_tokens")
    add("--credentials", metavar="FOLDER", help="folder whose file `token` holds the API key")
    add(
        "--requests",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="answers are kept here, so that none is paid twice",
    )
    add("--requests-per-minute", type=int, default=600, help="pace (default 600)")
    add("--out", type=Path, required=True, help="write the judge's ratings here, JSONL")


def run(args: argparse.Namespace) -> int:
    """Judge; 1 with the reason where it cannot be done."""
    try:
        wanted = shown(read_drawn(args.sample), {item.item_id: item for item in read_items(args.items)})
        kept = ArtifactRef(uri=args.requests.resolve().as_uri()).child(
            _endpoint(args).identity.removeprefix("sha256:")[:20]
        )
        ratings, unreadable = asyncio.run(judge(_endpoint(args), wanted, kept))
    except (RecordError, JobError, ValidationError, ValueError) as error:
        print(f"lore goodrate judge: {error}", file=sys.stderr)
        return 1
    write_jsonl(args.out, (rating.model_dump(mode="json") for rating in ratings))
    print(f"{args.out}: {len(ratings)} ratings under rubric {RUBRIC}, {unreadable} answers without a label")
    return 0


def _endpoint(args: argparse.Namespace) -> JudgedEndpoint:
    return JudgedEndpoint(
        url=args.url,
        model=args.model,
        answers_as=args.answers_as,
        reasoning_model=args.reasoning_model,
        credentials=args.credentials,
        requests_per_minute=args.requests_per_minute,
    )
