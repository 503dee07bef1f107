"""What the demo shows. Pure: objects as the API server gives them in, lines of text out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns padded to their widest cell."""
    cells = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


def progress(objects: Iterable[Object]) -> list[str]:
    """One line for each stage, evaluation and tier, and what each resource says of itself."""
    lines = []
    for item in objects:
        lines.append(f"{item['kind']} {item['metadata']['name']}: {headline(item)}")
        lines += [f"  {line}" for line in _details(item)]
    return lines


def headline(item: Object, most: int = 150) -> str:
    """Phase and the condition that explains it, its message in at most `most` characters."""
    status = item.get("status", {})
    told = [condition(item, kind) for kind in ("Stalled", "Reconciling", "Ready")]
    why = next((found for found in told if found and (found["status"] == "True" or found["type"] == "Ready")), None)
    words = [status.get("phase") or "not seen yet"]
    if why is not None:
        words.append(f"({why['reason']}) {shorten(why.get('message', ''), most)}".strip())
    return " ".join(words)


def condition(item: Object, kind: str) -> Mapping[str, Any] | None:
    """One condition, or None."""
    found: Iterable[Mapping[str, Any]] = item.get("status", {}).get("conditions", ())
    return next((entry for entry in found if entry["type"] == kind), None)


def holds(item: Object, kind: str) -> bool:
    """Whether a condition is True."""
    found = condition(item, kind)
    return found is not None and found["status"] == "True"


def shorten(text: str, most: int = 150) -> str:
    """One line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def stages(train_jobs: Iterable[Object]) -> list[str]:
    """Every stage with its loss and what it published."""
    rows = []
    for job in train_jobs:
        for stage in job.get("status", {}).get("stages", ()):
            metrics = {metric["name"]: metric["value"] for metric in stage.get("metrics", ())}
            loss = metrics.get("finalLoss") or stage.get("progress", {}).get("loss", "-")
            attempt = str(stage.get("attempt", "-"))
            rows.append(
                (job["metadata"]["name"], stage["name"], stage["phase"], attempt, loss, stage.get("published", "-"))
            )
    return table(("train job", "stage", "phase", "attempt", "loss", "published as"), rows)


def verdicts(evaluations: Iterable[Object]) -> list[str]:
    """Every evaluation with its verdict, and under it what each gate found."""
    lines = []
    for item in evaluations:
        status = item.get("status", {})
        passed = status.get("gatesPassed", "-")
        lines.append(f"{item['metadata']['name']}: {status.get('verdict', 'no verdict')}, gates {passed}")
        for gate in status.get("gates", ()):
            lines.append(f"  {gate['outcome']:<13}{gate['name']}: {shorten(gate.get('message', ''), 220)}")
    return lines


def tiers(deployment: Object) -> list[str]:
    """What serves each stratum."""
    rows = []
    status = deployment.get("status", {})
    for tier in status.get("tiers", ()):
        what = tier.get("backend") or "head generation"
        pods = str(tier.get("readyReplicas", "-"))
        rows.append((tier["stratum"], tier["phase"], tier.get("model", "-"), what, pods, tier.get("digest", "-")[:19]))
    head = status.get("head", {}).get("coverage")
    lines = table(("stratum", "phase", "model", "served by", "ready pods", "digest"), rows)
    return [*lines, f"revision {status.get('stable', '-')}, head coverage {head or '-'}"]


def minutes(spent: Iterable[tuple[str, float]]) -> list[str]:
    """Minutes of each phase and of all."""
    rows = [(name, f"{seconds / 60:.1f}") for name, seconds in spent]
    total = sum(seconds for _, seconds in spent)
    return table(("phase", "minutes"), [*rows, ("all", f"{total / 60:.1f}")])


def _details(item: Object) -> list[str]:
    status, name = item.get("status", {}), item["metadata"]["name"]
    if item["kind"] == "RelevanceTrainJob":
        rows = [(stage["name"], stage["phase"], _work(stage.get("progress"))) for stage in status.get("stages", ())]
    elif item["kind"] == "RelevanceEval":
        rows = [("scoring", "Running", _work(status.get("progress")))] if not status.get("verdict") else []
    else:
        head = status.get("head", {})
        rows = [] if head.get("result") else [("head build", "Running", _work(head.get("progress")))]
        rows += [
            (tier["stratum"], tier["phase"], shorten(tier.get("message", ""), 100)) for tier in status.get("tiers", ())
        ]
    shown = [row for row in rows if row[1] != "Running" or row[2]]
    return [f"{name} {what}: {' '.join(filter(None, (phase, work)))}" for what, phase, work in shown]


def _work(found: Mapping[str, Any] | None) -> str:
    if not found or not found["totalSteps"]:
        return ""
    words = [f"{found['step']}/{found['totalSteps']} {found.get('unit', 'steps')}"]
    if "loss" in found:
        words.append(f"loss {found['loss']}")
    if found.get("secondsRemaining") is not None and found["step"] < found["totalSteps"]:
        words.append(f"{found['secondsRemaining']} s left")
    return ", ".join(words)
