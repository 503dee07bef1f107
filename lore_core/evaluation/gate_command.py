"""`lore gate dry-run EVIDENCE --gates FILE`: what would these gates say of a finished report?"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

from lore_core import output
from lore_core.artifacts import ArtifactError, ArtifactRef
from lore_core.evaluation.evidence import REPORT, Evidence, read
from lore_core.evaluation.gate_file import read_gates
from lore_core.evaluation.gates import Outcome, combine, explain
from lore_core.evaluation.judging import judge_again
from lore_core.jobs.errors import JobError

_STATUS: Final = {Outcome.PASSED: 0, Outcome.FAILED: 3, Outcome.INCONCLUSIVE: 4}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore gate dry-run`."""
    add_evidence_arguments(parser)
    parser.add_argument("--gates", type=Path, required=True, help="gates as JSON or YAML, or a RelevanceEval manifest")
    output.add_arguments(parser)
    parser.epilog = "exit status: 0 Passed, 3 Failed, 4 Inconclusive, 1 where it cannot be judged"


def add_evidence_arguments(parser: argparse.ArgumentParser) -> None:
    """The evidence, its digest and its champion, for every verb that reads finished evidence."""
    add = parser.add_argument
    add("evidence", help="folder, report.json or uri of the evidence")
    add("--digest", help="digest that the evidence must have")
    add("--champion", metavar="EVIDENCE", help="evidence to measure regressions against")
    add("--credentials", help="folder with the keys of the store's Secret")


def read_evidence(args: argparse.Namespace, scratch: Path) -> tuple[Evidence, Evidence | None]:
    """The evidence and the champion's, every byte verified. Raises ArtifactError or EvidenceError."""
    evidence = read(artifact_ref(args.evidence, args.credentials, args.digest), scratch / "evidence")
    if args.champion is None:
        return evidence, None
    return evidence, read(artifact_ref(args.champion, args.credentials, None), scratch / "champion")


def artifact_ref(place: str, credentials: str | None, digest: str | None) -> ArtifactRef:
    """An artifact by uri, by local folder, or by the report.json in it."""
    if "://" in place:
        return ArtifactRef(uri=place, credentials=credentials, digest=digest)
    folder = Path(place).resolve()
    return ArtifactRef(uri=(folder.parent if folder.name == REPORT else folder).as_uri(), digest=digest)


def run(args: argparse.Namespace) -> int:
    """Print the verdict gate by gate; changes nothing anywhere."""
    try:
        gates = read_gates(args.gates)
        with tempfile.TemporaryDirectory(prefix="lore-gate-") as scratch:
            evidence, champion = read_evidence(args, Path(scratch))
            outcomes = judge_again(evidence, champion, gates)
    except (ArtifactError, JobError, ValueError) as error:
        print(f"lore gate dry-run: {error}", file=sys.stderr)
        return 1
    outcome, _ = combine(outcomes)
    if args.output == "table":
        print(f"dry run on {evidence.report.model_name}, evidence {evidence.digest}; this is no verdict")
        print("\n".join(explain(outcomes)))
    else:
        gates_told = [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in outcomes]
        told = {"model": evidence.report.model_name, "evidence": evidence.digest, "outcome": outcome.value}
        print(output.document({**told, "gates": gates_told}, args.output))
    return _STATUS[outcome]
