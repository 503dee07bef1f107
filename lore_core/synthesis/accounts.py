"""What came of a synthesis: accept rates by capability, label and industry, reasons, tokens."""

from collections import Counter
from collections.abc import Iterable
from html import escape
from typing import Final

from pydantic import JsonValue

from lore_core.jobs.config import Capability
from lore_core.synthesis.reasons import Reason

_NAMELESS: Final = "(none)"


class Accounts:
    """Counts per capability; a capability is counted once an attempt that reaches it."""

    def __init__(self) -> None:
        self._tried: Counter[str] = Counter()
        self._passed: Counter[str] = Counter()
        self._reasons: Counter[tuple[str, str]] = Counter()
        self._notes: Counter[str] = Counter()

    def passed(self, capability: Capability) -> None:
        """Its work can be used."""
        self._tried[capability] += 1
        self._passed[capability] += 1

    def rejected(self, capability: Capability, reason: Reason) -> None:
        """It cannot."""
        self._tried[capability] += 1
        self._reasons[capability, reason] += 1

    def note(self, state: str) -> None:
        """A declared state that is no failure, for example a pair without a picture."""
        self._notes[state] += 1

    def summary(self) -> dict[str, JsonValue]:
        """Tried, passed, accept rate and reasons by capability, and the notes."""
        return {
            "capabilities": {name.value: self._of(name) for name in Capability if self._tried[name]},
            "notes": dict(sorted(self._notes.items())),
        }

    def _of(self, name: Capability) -> JsonValue:
        reasons = {reason: count for (of, reason), count in sorted(self._reasons.items()) if of == name}
        tried, passed = self._tried[name], self._passed[name]
        return {"tried": tried, "passed": passed, "rate": share(passed, tried), "reasons": dict(reasons)}


def rates(rows: Iterable[tuple[str, bool]]) -> dict[str, JsonValue]:
    """Pairs, accepted and rate by group name."""
    total: Counter[str] = Counter()
    good: Counter[str] = Counter()
    for name, accepted in rows:
        total[name or _NAMELESS] += 1
        good[name or _NAMELESS] += accepted
    return {
        name: {"pairs": total[name], "accepted": good[name], "rate": share(good[name], total[name])}
        for name in sorted(total)
    }


def share(part: int, whole: int) -> str:
    """A rate with four decimals; 0 of nothing is 0."""
    return f"{part / whole:.4f}" if whole else "0.0000"


def page(title: str, report: dict[str, JsonValue]) -> str:
    """The report as one HTML page without scripts or links: nested objects as tables."""
    style = (
        "body{font-family:sans-serif;margin:2em} table{border-collapse:collapse} td,th{border:1px solid;padding:.2em}"
    )
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{style}</style>"
    return f"{head}<h1>{escape(title)}</h1>{_table(report)}</html>\n"


def _table(value: JsonValue) -> str:
    if isinstance(value, dict):
        rows = "".join(f"<tr><th>{escape(name)}</th><td>{_table(entry)}</td></tr>" for name, entry in value.items())
        return f"<table>{rows}</table>"
    if isinstance(value, list):
        return escape(", ".join(str(entry) for entry in value))
    return escape(str(value))
