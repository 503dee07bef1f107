"""`lore fetch`: the predictor's init container. Nothing is left for the server to load unless every byte was verified."""

import argparse
import sys
from pathlib import Path

from lore_core.artifacts.ref import ArtifactRef
from lore_core.artifacts.store import ArtifactError, verify


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore fetch`."""
    parser.add_argument(
        "--uri",
        required=True,
        help="where the artifact is: pvc://CLAIM/PATH, s3://BUCKET/PATH, hf://…, oci://…, file:///PATH",
    )
    parser.add_argument("--digest", required=True, help="sha256:… of the artifact's manifest")
    parser.add_argument("--into", required=True, type=Path, help="folder to fill")
    parser.add_argument("--credentials", help="folder with the keys of the store's Secret")


def run(args: argparse.Namespace) -> int:
    """Fetch and verify; 1 with the reason on stderr where that is impossible."""
    try:
        manifest = verify(ArtifactRef(uri=args.uri, digest=args.digest, credentials=args.credentials), args.into)
    except (ArtifactError, ValueError) as error:
        print(f"lore fetch: {error}", file=sys.stderr)
        return 1
    print(
        f"{args.uri}: {len(manifest.files)} files, {sum(entry.size for entry in manifest.files)} bytes, {manifest.digest}"
    )
    return 0
