"""What a checker of single traces cannot see: a step that is wrong and changes nothing.

The same item has one value on a dimension, and the same two values under the same rule have one verdict; so traces are held
against each other, and one that contradicts a clear majority is left out (self-consistency over the corpus, not over samples).
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Final

from lore_core.records import Pair, TraceStep

_VOTES: Final = 3
_MAJORITY: Final = 2 / 3


def outvoted(traces: Mapping[str, tuple[Pair, tuple[TraceStep, ...]]]) -> set[str]:
    """Ids of the pairs whose trace says of an item or of two values what at least two thirds of three or more deny."""
    votes: dict[Hashable, Counter[str]] = defaultdict(Counter)
    for pair, steps in traces.values():
        for question, answer in _statements(pair, steps):
            votes[question][answer] += 1
    settled = {question: _majority(counts) for question, counts in votes.items()}
    return {
        name
        for name, (pair, steps) in traces.items()
        if any(settled[question] not in (None, answer) for question, answer in _statements(pair, steps))
    }


def _statements(pair: Pair, steps: Iterable[TraceStep]) -> Iterator[tuple[Hashable, str]]:
    for step in steps:
        yield ("value", pair.item_id, step.dimension), step.evidence
        yield ("verdict", step.dimension, step.demand, step.evidence, step.rule), step.verdict


def _majority(counts: Counter[str]) -> str | None:
    (answer, most), total = counts.most_common(1)[0], counts.total()
    return answer if total >= _VOTES and most >= _MAJORITY * total else None
