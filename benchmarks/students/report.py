"""What came of it, printed as tables and as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.ablation.compare import points
from benchmarks.students.compare import Figures, Seeds, Verdict, figures, verdicts
from benchmarks.students.runs import GOLD, STUDENT, TEACHER, Lesson

_NAME: Final = 16
_ARM: Final = 12
_POINTS: Final = 24

Report = dict[str, Any]


def report(seeds: Seeds, lesson: Lesson) -> Report:
    """Print each seed and all of them together; the same as values."""
    found = {f"seed {number}": one for number in seeds if (one := figures({number: seeds[number]}))}
    if len(seeds) > 1:
        found[f"{len(seeds)} seeds together"] = figures(seeds)
    judged = {name: verdicts(parts) for name, parts in found.items()}
    for name, parts in found.items():
        show(name, parts, judged[name])
    return {
        "seeds": [*seeds],
        "lesson": asdict(lesson),
        "figures": {name: {part: asdict(row) for part, row in parts.items()} for name, parts in found.items()},
        "verdicts": {name: [asdict(one) for one in rows] for name, rows in judged.items()},
    }


def show(name: str, parts: Mapping[str, Figures], judged: list[Verdict]) -> None:
    """One table of figures and what was to be reached."""
    arms = (TEACHER, STUDENT, GOLD)
    print(f"\n{name}: Accuracy@2; differences in points [bounds]")
    print(
        f"{'':{_NAME}}{'pairs':>8}{'queries':>9}"
        + "".join(f"{arm:>{_ARM}}" for arm in arms)
        + f"{'student - teacher':>{_POINTS}}{'student - gold alone':>{_POINTS}}{'agreement':>{_ARM}}{'ranking':>{_ARM}}"
    )
    for part, row in parts.items():
        accuracy = "".join(f"{row.accuracy[arm]:>{_ARM}.3f}" for arm in arms)
        apart = f"{points(row.to_teacher):>{_POINTS}}{points(row.to_gold):>{_POINTS}}"
        close = f"{row.agreement:>{_ARM}.3f}{row.ranking:>{_ARM}.3f}"
        print(f"{part:{_NAME}}{row.pairs:>8,}{row.queries:>9,}{accuracy}{apart}{close}")
    for one in judged:
        print(f"{'reached' if one.reached else 'MISSED':9}{one.target}: {one.figure}")


def write(folder: Path, found: Report) -> None:
    """The report as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "students.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
