"""One answer, and the table of many: what `scores.jsonl` holds is all that metrics and gates are computed from."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import numpy as np
from pydantic import Field

from lore_core.evaluation.measured import Measured
from lore_core.evaluation.metrics import LABELS, UNPARSABLE, Floats
from lore_core.evaluation.sampling import sampled
from lore_core.evaluation.table import PairTable
from lore_core.jobs.config import LabelName, WireModel
from lore_core.records import Pair

_KEY_DIGITS: Final = 16


class AnswerRow(WireModel):
    """One line of `scores.jsonl`. `answer` is absent where no label could be read; then `problem` may say why.

    `query` is a key that pairs of one query share, `flip` the rule-flip group, `fields` what slices are made of.
    `probabilities` are of L1 L2 L3 L4 and sum to 1, `outside` is the mass on other tokens. `mismatch` is the kind of an L2.
    `samples` are labels of further sampled answers (absent where none could be read), `checked` whether each one's steps
    pass the checker and give gold. Time is measured, not part of what
    evidence is made of: it is never written.
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


def answer_table(rows: Sequence[AnswerRow]) -> PairTable:
    """The table of some answers. Raises ValueError where an id occurs twice."""
    names = sorted({name for row in rows for name in row.fields})
    return PairTable.build(
        [row.id for row in rows],
        [row.query for row in rows],
        [LABELS.index(row.gold) for row in rows],
        [UNPARSABLE if row.answer is None else LABELS.index(row.answer) for row in rows],
        {name: [row.fields.get(name, "") for row in rows] for name in names},
        [row.flip or "" for row in rows],
        _measured(rows),
    )


def _measured(rows: Sequence[AnswerRow]) -> Measured:
    nothing = (np.nan,) * len(LABELS)
    probabilities = np.array([row.probabilities or nothing for row in rows], dtype=np.float64)
    return Measured(
        probabilities.reshape(-1, len(LABELS)),
        np.array([row.prompt_tokens for row in rows], dtype=np.float64),
        np.array([row.output_tokens for row in rows], dtype=np.float64),
        np.array([row.latency_ms for row in rows], dtype=np.float64),
        _sampled(rows) if any(row.samples for row in rows) else None,
    )


def _sampled(rows: Sequence[AnswerRow]) -> Floats:
    return np.array([sampled(row.gold, row.samples, row.checked) for row in rows], dtype=np.float64)


def champion_answers(rows: Sequence[AnswerRow], champion: Sequence[AnswerRow]) -> list[AnswerRow]:
    """The champion's answers to these rows' pairs, matched by id, sliced and grouped as the rows are.

    Raises ValueError naming the first pair that is missing or has another gold label.
    """
    answers = {row.id: row for row in champion}
    found = []
    for row in rows:
        other = answers.get(row.id)
        if other is None or other.gold != row.gold:
            raise ValueError(f"pair {row.id!r} is missing or has another gold label")
        found.append(other.model_copy(update={"query": row.query, "flip": row.flip, "fields": row.fields}))
    return found
