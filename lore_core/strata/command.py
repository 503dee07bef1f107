"""`lore strata build`: a query log to a published strata snapshot."""

import argparse
import sys
import tempfile
from pathlib import Path

from lore_core.artifacts.ref import ArtifactRef
from lore_core.artifacts.store import ArtifactError, file_digest, publish
from lore_core.strata.build import Boundaries, LogError, StratumCount, build
from lore_core.strata.snapshot import KEY_BYTES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore strata build`."""
    parser.add_argument("--log", required=True, type=Path, help='JSONL: {"query": text, "count": requests} a line')
    parser.add_argument(
        "--output", required=True, help="where to publish: pvc://CLAIM/PATH, s3://BUCKET/PATH, file:///PATH"
    )
    parser.add_argument("--credentials", help="folder with the keys of the store's Secret")
    parser.add_argument("--head-share", type=float, default=0.5, help="share of traffic that is head (default 0.5)")
    parser.add_argument("--torso-share", type=float, default=0.3, help="share of traffic that is torso (default 0.3)")
    parser.add_argument("--hash-key", type=Path, help=f"file with the {KEY_BYTES} bytes that key the query hashes")


def run(args: argparse.Namespace) -> int:
    """Build and publish; prints the strata and the artifact's digest."""
    try:
        boundaries = Boundaries(args.head_share, args.torso_share)
        secret = args.hash_key.read_bytes() if args.hash_key else None
        with tempfile.TemporaryDirectory() as folder:
            counts = build(args.log, boundaries, Path(folder), secret)
            to = ArtifactRef(uri=args.output, credentials=args.credentials)
            ref = publish(Path(folder), to, "strata", inputs={"log": file_digest(args.log)[0]})
    except (LogError, ArtifactError, ValueError, OSError) as error:
        print(f"lore strata build: {error}", file=sys.stderr)
        return 1
    _print(counts)
    print(f"{ref.uri} {ref.digest}")
    return 0


def _print(counts: dict[str, StratumCount]) -> None:
    everything = sum(count.requests for count in counts.values())
    print(f"{'stratum':<8}{'queries':>12}{'requests':>14}{'share':>8}")
    for name, count in counts.items():
        print(f"{name:<8}{count.queries:>12,}{count.requests:>14,}{count.requests / everything:>8.1%}")
