"""`make audit`: known vulnerabilities of what the lock files install, but for requirements/audit-exceptions.txt.

pip-audit asks the Python index, or a folder of advisories where ADVISORIES names one. By itself it reports "no known
vulnerabilities" also where nobody answered; here a lock is clear only if every package of it was looked up.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from hack.advisories import Advisories

EXIT_CLEAR, EXIT_VULNERABLE, EXIT_USAGE, EXIT_UNKNOWN = range(4)
OLDEST: Final = timedelta(days=30)
"""A folder of advisories that ends earlier says what is vulnerable, but clears nothing."""
_EXCEPTIONS: Final = Path(__file__).resolve().parents[1] / "requirements" / "audit-exceptions.txt"


@dataclass(frozen=True, slots=True)
class Exemption:
    """A vulnerability that is let pass until a day, and why."""

    identifier: str
    until: date
    reason: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A vulnerability of a pinned version, under all its names."""

    package: str
    version: str
    names: tuple[str, ...]
    fixed: tuple[str, ...]

    def __str__(self) -> str:
        remedy = f"fixed in {', '.join(self.fixed)}" if self.fixed else "no release fixes it"
        return f"{self.package} {self.version}: {self.names[0]} ({', '.join(self.names[1:]) or 'no alias'}), {remedy}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found of one lock. `unanswered`: why a package could not be looked up."""

    packages: int
    findings: tuple[Finding, ...]
    unanswered: tuple[str, ...]


def read_exemptions(text: str) -> list[Exemption]:
    """`IDENTIFIER YEAR-MONTH-DAY REASON` a line; `#` begins a comment. ValueError names a line that is not so."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            identifier, until, reason = line.split(maxsplit=2)
            found.append(Exemption(identifier, date.fromisoformat(until), reason))
        except ValueError as error:
            raise ValueError(
                f"audit-exceptions.txt:{number}: give IDENTIFIER YEAR-MONTH-DAY REASON: {error}"
            ) from error
    return found


def judge(report: dict[str, Any]) -> Outcome:
    """pip-audit's JSON report, without a word lost."""
    findings = [
        Finding(item["name"], item["version"], (each["id"], *each["aliases"]), tuple(each["fix_versions"]))
        for item in report["dependencies"]
        for each in item.get("vulns", ())
    ]
    unanswered = [item["skip_reason"] for item in report["dependencies"] if "skip_reason" in item]
    return Outcome(len(report["dependencies"]), tuple(findings), tuple(unanswered))


def without(findings: Iterable[Finding], exemptions: Sequence[Exemption], today: date) -> list[Finding]:
    """What no exemption lets pass that still holds today."""
    passing = {item.identifier for item in exemptions if today <= item.until}
    return [finding for finding in findings if not passing & {*finding.names}]


def main() -> int:
    """0 clear; 1 a known vulnerability; 2 wrong usage; 3 nothing is known to be wrong, but not all could be looked up."""
    parser = argparse.ArgumentParser(description="known vulnerabilities of lock files")
    parser.add_argument("locks", nargs="+", type=Path)
    parser.add_argument("--pip-audit", type=Path, required=True, help="the program")
    parser.add_argument("--advisories", type=Path, help="folder of OSV advisories to ask instead of the Python index")
    args = parser.parse_args()
    try:
        exemptions = read_exemptions(_EXCEPTIONS.read_text(encoding="utf-8"))
        advisories = Advisories.read(args.advisories) if args.advisories else None
        outcomes = _outcomes(args.pip_audit, args.locks, advisories)
    except ValueError as error:
        print(f"audit: {error}", file=sys.stderr)
        return EXIT_USAGE
    return _tell(outcomes, exemptions, advisories.newest if advisories else None, datetime.now(UTC).date())


def _outcomes(program: Path, locks: Sequence[Path], advisories: Advisories | None) -> dict[Path, Outcome]:
    with ExitStack() as open_now:
        service = (
            ["--vulnerability-service=osv", f"--osv-url={open_now.enter_context(advisories.served())}"]
            if advisories
            else []
        )
        return {lock: judge(_asked(program, lock, service)) for lock in locks}


def _asked(program: Path, lock: Path, service: Sequence[str]) -> dict[str, Any]:
    words = ["--disable-pip", "--require-hashes", "--progress-spinner=off", "--format=json", *service]
    command = [str(program), *words, "--requirement", str(lock)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise ValueError(f"{lock}: pip-audit gave no report: {done.stderr.strip()[-2000:]}") from error
    return report


def _tell(outcomes: Mapping[Path, Outcome], exemptions: Sequence[Exemption], newest: date | None, today: date) -> int:
    left = {lock: without(outcome.findings, exemptions, today) for lock, outcome in outcomes.items()}
    for lock, outcome in outcomes.items():
        passed = len(outcome.findings) - len(left[lock])
        print(f"{lock.stem}: {outcome.packages} packages, {len(left[lock])} known vulnerabilities, {passed} let pass")
        print("".join(f"  {finding}\n" for finding in left[lock]), end="")
        if outcome.unanswered:
            print(f"  {len(outcome.unanswered)} packages could not be looked up, such as: {outcome.unanswered[0]}")
    stale = newest is not None and today - newest > OLDEST
    if newest:
        print(f"the advisories end on {newest}{': too old to clear a lock' if stale else ''}")
    if any(left.values()):
        return EXIT_VULNERABLE
    return EXIT_UNKNOWN if stale or any(outcome.unanswered for outcome in outcomes.values()) else EXIT_CLEAR


if __name__ == "__main__":
    sys.exit(main())
