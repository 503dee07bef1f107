"""`lore labels migrate`: pairs or a benchmark of another label schema, written anew by an explicit map."""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from lore_core.artifacts import ArtifactError, ArtifactRef, Manifest, publish, verify
from lore_core.jobs.errors import JobError
from lore_core.records.files import write_pairs
from lore_core.records.label import label_schema_digest
from lore_core.records.schema import SCHEMA_KEY, LabelMap, Migration

_KINDS: Final = ("pairs", "benchmark")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore labels migrate`."""
    parser.add_argument("--data", required=True, help="folder or uri of the pairs or benchmark artifact")
    parser.add_argument("--map", required=True, type=Path, help='JSON: {"from": digest, "to": digest, "labels": {…}}')
    parser.add_argument("--out", required=True, help="folder or uri of the new artifact")
    parser.add_argument("--credentials", help="folder with the keys of the store's Secret")


def run(args: argparse.Namespace) -> int:
    """Migrate; prints uri, digest and what became of each label, or the first error with file, line and field."""
    try:
        mapping = LabelMap.load(args.map)
        with tempfile.TemporaryDirectory(prefix="lore-labels-") as scratch:
            written, migration = _migrated(_ref(args.data, args), _ref(args.out, args), mapping, Path(scratch))
    except (ArtifactError, JobError, ValueError) as error:
        print(f"lore labels migrate: {error}", file=sys.stderr)
        return 1
    for move, count in sorted(migration.moved.items()):
        print(f"{move}\t{count}")
    print(f"traces dropped, since they argue for another label\t{migration.traces_dropped}")
    print(f"{written.uri}\t{written.digest}")
    return 0


def _ref(name: str, args: argparse.Namespace) -> ArtifactRef:
    uri = name if "://" in name else Path(name).resolve().as_uri()
    return ArtifactRef(uri=uri, credentials=args.credentials)


def _migrated(data: ArtifactRef, out: ArtifactRef, mapping: LabelMap, scratch: Path) -> tuple[ArtifactRef, Migration]:
    manifest = verify(data, scratch / "old")
    _check(data, manifest, mapping)
    migration, counts = Migration(mapping), dict[str, JsonValue]()
    (scratch / "new").mkdir()
    for old in sorted((scratch / "old").glob("*.jsonl")):
        counts[old.stem] = write_pairs(scratch / "new" / old.name, migration.read(old))
    inputs = {**manifest.inputs, "migratedFrom": manifest.digest}
    about = {**manifest.metadata, "counts": counts, SCHEMA_KEY: label_schema_digest()}
    return publish(scratch / "new", out, manifest.kind, inputs, about), migration


def _check(data: ArtifactRef, manifest: Manifest, mapping: LabelMap) -> None:
    if manifest.kind not in _KINDS:
        raise JobError("WrongArtifactKind", f"{data.uri}: is a {manifest.kind}, needed is a {' or '.join(_KINDS)}")
    found = manifest.metadata.get(SCHEMA_KEY)
    if found != mapping.source:
        raise JobError(
            "LabelSchemaMismatch",
            f"from: {data.uri} has the label schema {found or 'of no name'}, the map starts at {mapping.source}",
            field="from",
        )
