"""`lore rules stale`: which artifacts a changed rule set leaves behind."""

import argparse
import sys
from pathlib import Path

from lore_core import output
from lore_core.artifacts import ArtifactError, ArtifactRef, Manifest, open_store
from lore_core.rules.stale import Standing, standings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore rules stale`."""
    parser.add_argument("artifacts", nargs="+", help="folders or uris of pairs, models, generations, evidence")
    parser.add_argument("--rules", required=True, help="folder or uri of the rule set that holds now")
    parser.add_argument("--credentials", help="folder with the keys of the store's Secret")
    output.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """One row an artifact; 1 where one is stale or cannot be read."""
    try:
        current = _manifest(args.rules, args.credentials)
        if current.kind != "rule-set":
            raise ArtifactError(f"{args.rules}: is a {current.kind}, needed is a rule-set")
        named = {name: _manifest(name, args.credentials) for name in args.artifacts}
    except (ArtifactError, ValueError) as error:
        print(f"lore rules stale: {error}", file=sys.stderr)
        return 1
    found = standings(named, current.digest)
    rows = [_row(name, named[name].kind, standing) for name, standing in found.items()]
    if args.output == "table":
        print("\n".join("\t".join(filter(None, row.values())) for row in rows))
    else:
        print(output.document(rows, args.output))
    return 1 if any(standing.stale for standing in found.values()) else 0


def _row(name: str, kind: str, standing: Standing) -> dict[str, str]:
    word = "stale" if standing.stale else "current" if standing.under else "no rules"
    return {"artifact": name, "kind": kind, "standing": word, "because": standing.because}


def _manifest(name: str, credentials: str | None) -> Manifest:
    uri = name if "://" in name else Path(name).resolve().as_uri()
    return open_store(ArtifactRef(uri=uri, credentials=credentials)).manifest()
