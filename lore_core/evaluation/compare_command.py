"""`lore compare EVIDENCE…`: several finished evaluations of one benchmark as one table, one row a model."""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from lore_core import output
from lore_core.artifacts import ArtifactError
from lore_core.evaluation.evidence import EvidenceReport, check_comparable, read
from lore_core.evaluation.gate_command import artifact_ref
from lore_core.evaluation.scores import HEADLINE, ScoreRow
from lore_core.jobs.errors import JobError

_COLUMNS: Final = (*HEADLINE, "ParseRate", "OutputTokens")
_ALL: Final = "all pairs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore compare`."""
    add = parser.add_argument
    add("evidence", nargs="+", help="folders, report.json files or uris of evidence on one benchmark")
    add("--slice", default=_ALL, metavar="FIELD=VALUE", help="compare on this slice instead of all pairs")
    output.add_arguments(parser)
    add("--credentials", help="folder with the keys of the store's Secret")


def run(args: argparse.Namespace) -> int:
    """Print the table; 1 with the reason where an evaluation cannot stand beside the first one."""
    try:
        rows = [_row(report, args.slice) for report in _reports(args)]
    except (ArtifactError, JobError, ValueError) as error:
        print(f"lore compare: {error}", file=sys.stderr)
        return 1
    print(_table(rows) if args.output == "table" else output.document(rows, args.output))
    return 0


def _reports(args: argparse.Namespace) -> Iterator[EvidenceReport]:
    """The reports, every byte verified, each comparable with the first."""
    first: EvidenceReport | None = None
    for place in args.evidence:
        with tempfile.TemporaryDirectory(prefix="lore-compare-") as folder:
            report = read(artifact_ref(place, args.credentials, None), Path(folder)).report
        first = first or report
        check_comparable(report, first.bound, first.rule_mode, first.subsets, place)
        check_comparable(first, report.bound, report.rule_mode, report.subsets, str(args.evidence[0]))
        yield report


def _row(report: EvidenceReport, where: str) -> dict[str, str]:
    found = {row.metric: row for row in report.scores if row.slice == where}
    if not found:
        known = sorted({row.slice for row in report.scores})
        raise ValueError(f"--slice {where}: {report.evaluation} has no scores there; it has {', '.join(known)}")
    about = {"model": report.model_name, "evaluation": report.evaluation, "verdict": report.verdict.value}
    some = next(iter(found.values()))
    scores: dict[str, str] = {name: _cell(found[name]) for name in _COLUMNS if name in found}
    return {**about, **scores, "pairs": str(some.samples), "queries": str(some.queries)}


def _cell(row: ScoreRow) -> str:
    interval = f" [{float(row.low):.3f}, {float(row.high):.3f}]" if row.low is not None and row.high is not None else ""
    return f"{float(row.value):.3f}{interval}"


def _table(rows: Sequence[dict[str, str]]) -> str:
    heads = list(dict.fromkeys(name for row in rows for name in row))
    cells = [heads, *([row.get(name, "") for name in heads] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)
