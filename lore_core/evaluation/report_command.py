"""`lore report EVIDENCE`: finished evidence as one HTML file and as JSON."""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lore_core.artifacts import ArtifactError, ArtifactRef, verify
from lore_core.evaluation.evidence import Evidence
from lore_core.evaluation.gate_command import add_evidence_arguments, artifact_ref, read_evidence
from lore_core.evaluation.page import page
from lore_core.evaluation.report import document
from lore_core.jobs.errors import JobError
from lore_core.records import Pair, read_pairs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore report`."""
    add_evidence_arguments(parser)
    add = parser.add_argument
    add("--benchmark", help="folder or uri of the benchmark, so that the worst pairs are shown with their texts")
    add("--html", type=Path, help="write the page into this file")
    add("--json", type=Path, help="write the document into this file (docs/formats/report.schema.json)")


def run(args: argparse.Namespace) -> int:
    """Write what was asked for; 1 with the reason where the evidence cannot be used."""
    if args.html is None and args.json is None:
        print("lore report: name --html FILE, --json FILE or both", file=sys.stderr)
        return 2
    try:
        with tempfile.TemporaryDirectory(prefix="lore-report-") as scratch:
            evidence, champion = read_evidence(args, Path(scratch))
            made = document(evidence, champion, _pairs(args, evidence, Path(scratch) / "benchmark"))
    except (ArtifactError, JobError, ValueError) as error:
        print(f"lore report: {error}", file=sys.stderr)
        return 1
    if args.html is not None:
        _write(args.html, page(made))
    if args.json is not None:
        _write(args.json, made.model_dump_json(by_alias=True, exclude_none=True, indent=1) + "\n")
    return 0


def _pairs(args: argparse.Namespace, evidence: Evidence, folder: Path) -> Iterator[Pair]:
    """The benchmark's pairs, verified to be those that were scored, streamed: their pictures may be gigabytes."""
    if args.benchmark is None:
        return
    report = evidence.report
    ref: ArtifactRef = artifact_ref(args.benchmark, args.credentials, report.bound.benchmark)
    verify(ref, folder, only=tuple(f"{name}.jsonl" for name in report.subsets))
    for name in report.subsets:
        yield from read_pairs(folder / f"{name}.jsonl")


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    print(path)
