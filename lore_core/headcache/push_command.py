"""`lore head push`: a published generation into a Redis or Valkey server."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from lore_core.artifacts.ref import ArtifactRef
from lore_core.artifacts.store import ArtifactError, verify
from lore_core.headcache.generation import JSON_NAME, GenerationError, HeadGeneration
from lore_core.headcache.redis_store import StoreError, push
from lore_core.headcache.reuse import SCORER, Scorer
from lore_core.progress import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore head push`."""
    add = parser.add_argument
    add("--generation", required=True, help="uri of a head generation that `lore head build` made")
    add("--digest", help="its digest, where nothing else may be pushed")
    add("--credentials", help="folder with the keys of the artifact store's Secret")
    add("--store", required=True, help="redis://HOST:PORT/DB, or rediss:// for TLS")
    add("--store-credentials", type=Path, help="folder with username, password, ca.crt; all optional")
    add("--expire", type=int, metavar="SECONDS", help="forget the pushed queries after so long; never without it")


def run(args: argparse.Namespace) -> int:
    """Push; 1 with the reason on stderr where that is impossible."""
    ref = ArtifactRef(uri=args.generation, digest=args.digest, credentials=args.credentials)
    try:
        with tempfile.TemporaryDirectory(prefix="lore-push-") as work:
            verify(ref, Path(work))
            described = json.loads((Path(work) / JSON_NAME).read_bytes())
            scorer = Scorer(**described[SCORER])
            entries = counted(HeadGeneration.open(Path(work)).entries(), "pairs")
            count = push(args.store, scorer, entries, args.expire, args.store_credentials)
    except (KeyError, TypeError):
        print(f"lore head push: {args.generation}: its head.json names no scorer; build it again", file=sys.stderr)
        return 1
    except (ArtifactError, GenerationError, StoreError, OSError, ValueError) as error:
        print(f"lore head push: {error}", file=sys.stderr)
        return 1
    print(f"{count} pairs of scorer {scorer.key}")
    return 0
