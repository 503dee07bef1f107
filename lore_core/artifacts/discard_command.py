"""`lore discard`: remove an artifact from its store, where it is still the one that the digest names."""

import argparse
import sys

from lore_core.artifacts.ref import ArtifactRef
from lore_core.artifacts.store import ArtifactError, open_store
from lore_core.cli import EXIT_FAILED, EXIT_OK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore discard`."""
    parser.add_argument("--uri", required=True, help="where the artifact is: pvc://CLAIM/PATH, s3://BUCKET/PATH")
    parser.add_argument("--digest", required=True, help="sha256:… of the artifact's manifest")
    parser.add_argument("--credentials", help="folder with the keys of the store's Secret")


def run(args: argparse.Namespace) -> int:
    """Remove it; 1 with the reason on stderr where that is impossible.

    Nothing whole there is as good as done: what lies there may be half of an artifact that is just being written.
    """
    try:
        store = open_store(ArtifactRef(uri=args.uri, digest=args.digest, credentials=args.credentials))
        if not store.exists():
            print(f"{args.uri}: no artifact is there, nothing was removed")
            return EXIT_OK
        size = sum(entry.size for entry in store.manifest().files)
        store.remove()
    except (ArtifactError, ValueError) as error:
        print(f"lore discard: {error}", file=sys.stderr)
        return EXIT_FAILED
    print(f"{args.uri}: {args.digest} removed, {size} bytes")
    return EXIT_OK
