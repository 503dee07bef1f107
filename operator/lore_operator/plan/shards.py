"""How an evaluation's shards stand together: what their Job says of each, and what each shard reports of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lore_core.jobs import Failure, Phase, Progress, Report, shard_key
from lore_operator.plan.attempts import Record, read_report

_MAX_TEXT: Final = 1024
_SHORT: Final = 256


@dataclass(frozen=True)
class Shards:
    """`scored` and `failed` are numbers of shards, as the Job names them; `reports` by number, of those that began."""

    total: int
    succeeded: int
    scored: frozenset[int]
    failed: frozenset[int]
    failed_text: str
    reports: Mapping[int, Report]

    @classmethod
    def of(cls, record: Record | None, total: int) -> "Shards":
        """The shards of an attempt; nothing is scored where its Job is gone."""
        status = ((record.job if record else None) or {}).get("status") or {}
        failed = str(status.get("failedIndexes") or "")
        scored = indexes(str(status.get("completedIndexes") or ""))
        found = {number: read_report(record.report, shard_key(number)) for number in range(total)} if record else {}
        reports = {number: report for number, report in found.items() if report is not None}
        return cls(total, int(status.get("succeeded") or 0), scored, indexes(failed), failed, reports)

    def status(self) -> dict[str, Any]:
        """The form that status has."""
        found = {"total": self.total, "scored": self.succeeded, "failed": len(self.failed)}
        return found | ({"failedIndexes": self.failed_text[:_MAX_TEXT]} if self.failed_text else {})

    def told(self) -> str:
        """How many are scored, how many failed, and what the failed ones say, those that are tried again too."""
        failures = [f"shard {number}: {one.reason}: {one.message[:_SHORT]}" for number, one in self._failures().items()]
        counts = f"{self.succeeded} of {self.total} shards scored, {len(self.failed)} failed"
        return "; ".join([counts, *failures[:2], *([f"{len(failures) - 2} more"] if len(failures) > 2 else [])])

    def _failures(self) -> dict[int, Failure]:
        return {
            number: report.failure
            for number, report in sorted(self.reports.items())
            if report.phase is Phase.FAILED and report.failure is not None and number not in self.scored
        }

    def progress(self) -> Progress | None:
        """Of all shards together; None until one tells how much it has to do. One that has not begun counts as the largest."""
        known = {number: p for number, one in self.reports.items() if (p := one.progress) and p.total_steps}
        if not known:
            return None
        largest = max(one.total_steps for one in known.values())
        sizes = {number: known[number].total_steps if number in known else largest for number in range(self.total)}
        done = {number: known[number].step if number in known else 0 for number in sizes}
        done |= {number: sizes[number] for number in self.scored if number in sizes}
        left = {number: sizes[number] - done[number] for number in sizes if number not in self.failed}
        return Progress(
            step=sum(done.values()),
            total_steps=sum(sizes.values()),
            unit=next(iter(known.values())).unit,
            seconds_remaining=_remaining(left, known),
        )


def _remaining(left: Mapping[int, int], known: Mapping[int, Progress]) -> int | None:
    """Seconds until the slowest is done, and until what waits for a free place is, at the pace of those that run."""
    if not any(left.values()):
        return 0
    running = {
        number: seconds
        for number, steps in left.items()
        if steps and number in known and (seconds := known[number].seconds_remaining)
    }
    if not running:
        return None
    pace = sum(left[number] / seconds for number, seconds in running.items())
    return round(max(*running.values(), sum(left.values()) / pace))


def indexes(text: str) -> frozenset[int]:
    """The numbers that a Job's list such as `1,3-5` names."""
    ranges = (part.partition("-") for part in text.split(",") if part)
    return frozenset(number for first, _, last in ranges for number in range(int(first), int(last or first) + 1))
