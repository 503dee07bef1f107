"""One answer, and the table of many: what `scores.jsonl` holds is all that metrics and gates are computed from."""

from array import array
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final

import numpy as np
from pydantic import Field

from lore_core.evaluation.measured import Measured
from lore_core.evaluation.metrics import LABELS, UNPARSABLE
from lore_core.evaluation.sampling import sampled
from lore_core.evaluation.table import PairTable
from lore_core.jobs.config import LabelName, WireModel
from lore_core.records import Pair

_KEY_DIGITS: Final = 16
_NOTHING: Final = (float("nan"),) * len(LABELS)


class AnswerRow(WireModel):
    """One line of `scores.jsonl`. `answer` is absent where no label could be read; then `problem` may say why.

    `query` is a key that pairs of one query share, `flip` the rule-flip group, `fields` what slices are made of.
    `probabilities` are of L1 L2 L3 L4 and sum to 1, `outside` is the mass on other tokens. `mismatch` is the kind of an L2.
    `samples` are labels of further sampled answers (absent where none could be read), `checked` whether each one's steps
    pass the checker and give gold. Time is measured, not part of what evidence is made of: it is never written.
    """

    id: str
    gold: LabelName
    query: str
    flip: str | None = None
    fields: dict[str, str] = {}
    answer: LabelName | None = None
    probabilities: tuple[float, float, float, float] | None = None
    outside: float = 0.0
    truncated: bool = False
    problem: str | None = None
    trace: str | None = None
    mismatch: str | None = None
    samples: tuple[LabelName | None, ...] = ()
    checked: tuple[bool, ...] = ()
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    latency_ms: float | None = Field(default=None, exclude=True)

    @classmethod
    def of(cls, pair: Pair, **found: object) -> "AnswerRow":
        """The row of a pair and what was found for it."""
        known = {"id": pair.id, "gold": pair.groundtruth.value, "query": query_key(pair.query), "flip": pair.flip_group}
        return cls.model_validate(known | {"fields": pair.slice_fields} | found)


def query_key(query: str) -> str:
    """A short name of a query's exact text, so that evidence groups pairs without repeating what people typed."""
    return sha256(query.encode("utf-8", "surrogatepass")).hexdigest()[:_KEY_DIGITS]


class _Columns:
    """Answers as columns while they are read: rows are let go at once, and equal texts are kept once."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.queries: list[str] = []
        self.flips: list[str] = []
        self.gold, self.answer = array("b"), array("b")
        self.fields: dict[str, list[str]] = {}
        self.numbers = array("d")  # four probabilities, prompt tokens, output tokens, milliseconds a row
        self.samples: list[tuple[int, int, int, int, int]] = []
        self.sampled = False
        self._texts: dict[str, str] = {}

    def add(self, row: AnswerRow) -> None:
        for name in row.fields.keys() - self.fields.keys():
            self.fields[name] = [""] * len(self.ids)
        for name, column in self.fields.items():
            column.append(self._once(row.fields.get(name, "")))
        self.ids.append(row.id)
        self.queries.append(self._once(row.query))
        self.flips.append(self._once(row.flip or ""))
        self.gold.append(LABELS.index(row.gold))
        self.answer.append(UNPARSABLE if row.answer is None else LABELS.index(row.answer))
        self.numbers.extend(row.probabilities or _NOTHING)
        for value in (row.prompt_tokens, row.output_tokens, row.latency_ms):
            self.numbers.append(_NOTHING[0] if value is None else value)
        self.sampled = self.sampled or bool(row.samples)
        if self.sampled:
            self.samples += [(0, 0, 0, 0, 0)] * (len(self.ids) - 1 - len(self.samples))
            self.samples.append(sampled(row.gold, row.samples, row.checked))

    def _once(self, text: str) -> str:
        return self._texts.setdefault(text, text)

    def measured(self) -> Measured:
        numbers = np.array(self.numbers, dtype=np.float64).reshape(-1, len(LABELS) + 3)
        found = np.array(self.samples, dtype=np.float64) if self.sampled else None
        prompt, output, milliseconds = numbers[:, len(LABELS) :].T
        return Measured(numbers[:, : len(LABELS)], prompt, output, milliseconds, found)


def answer_table(rows: Iterable[AnswerRow]) -> PairTable:
    """The table of some answers, read one by one. Raises ValueError where an id occurs twice."""
    columns = _Columns()
    for row in rows:
        columns.add(row)
    gold, answer = (np.array(column, dtype=np.int8) for column in (columns.gold, columns.answer))
    return PairTable.build(
        columns.ids, columns.queries, gold, answer, columns.fields, columns.flips, columns.measured()
    )


def champion_answers(rows: Iterable[AnswerRow], champion: Iterable[AnswerRow]) -> Iterator[AnswerRow]:
    """The champion's answers to these rows' pairs, sliced and grouped as the rows are. Both are in the order of their ids.

    Raises ValueError naming the first pair that is missing or has another gold label.
    """
    others = iter(champion)
    other = next(others, None)
    for row in rows:
        while other is not None and other.id < row.id:
            other = next(others, None)
        if other is None or other.id != row.id or other.gold != row.gold:
            raise ValueError(f"pair {row.id!r} is missing or has another gold label")
        yield other.model_copy(update={"query": row.query, "flip": row.flip, "fields": row.fields})
