"""`lore data generate`: the generated benchmark with everything a demo or a bench run needs."""

import argparse
import sys
import tempfile
from pathlib import Path

from lore_core.artifacts import ArtifactError, ArtifactRef
from lore_core.benchmark.generate import generate
from lore_core.benchmark.world import SCALES, World


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore data generate`."""
    parser.add_argument(
        "--out", required=True, help="a folder, or an artifact uri such as pvc://CLAIM/PATH, s3://BUCKET/PATH"
    )
    parser.add_argument("--seed", type=int, default=17, help="what is drawn from the world (default 17)")
    parser.add_argument("--scale", choices=sorted(SCALES), default="demo", help="how much is drawn (default demo)")
    parser.add_argument("--credentials", help="folder with the keys of the store's Secret")


def run(args: argparse.Namespace) -> int:
    """Write the artifacts; prints folder, uri and digest of each."""
    uri = args.out if "://" in args.out else Path(args.out).resolve().as_uri()
    try:
        with tempfile.TemporaryDirectory(prefix="lore-generate-") as scratch:
            world = World(args.seed, SCALES[args.scale])
            for name, ref in generate(world, ArtifactRef(uri=uri, credentials=args.credentials), Path(scratch)):
                print(f"{name}\t{ref.uri}\t{ref.digest}", flush=True)
    except (ArtifactError, ValueError) as error:
        print(f"lore data generate: {error}", file=sys.stderr)
        return 1
    return 0
