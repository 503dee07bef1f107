"""Reading a generated answer: the label stands after the reasoning, never inside it."""

import re
from dataclasses import dataclass
from typing import Final

_LABEL: Final = re.compile(r"(?<![A-Za-z0-9])L([1-4])(?![A-Za-z0-9])")
_MISMATCH: Final = re.compile(r"[\[【]\s*L2\s*[-\u2013\u2014:：－]\s*([^\]\[【】]{1,64}?)\s*[\]】]")
THINK_END: Final = "</think>"
THINK_START: Final = "<think>"


@dataclass(frozen=True, slots=True)
class Answer:
    """A parsed answer. `label` is None where no label stands in the answer part; such answers count as wrong."""

    label: str | None
    mismatch: str | None
    reasoning: str

    @property
    def parsed(self) -> bool:
        """Whether a label was found."""
        return self.label is not None


def parse_answer(text: str) -> Answer:
    """Label, L2 mismatch type and reasoning of a generated text.

    The answer part is what follows the last `</think>`; reasoning that was opened and never closed leaves no answer part,
    so a label that the reasoning merely mentions is not taken (the RAIR demo's first-match pattern takes it).
    """
    reasoning, rest = split_reasoning(text)
    return read_label(rest, reasoning)


def split_reasoning(text: str) -> tuple[str, str]:
    """Reasoning, and what follows it."""
    reasoning, closed, rest = text.rpartition(THINK_END)
    if not closed:
        opened = THINK_START in text
        reasoning, rest = (text, "") if opened else ("", text)
    return _clean(reasoning), rest


def read_label(answer: str, reasoning: str = "") -> Answer:
    """The label in the part of a text that is known to follow the reasoning, and the mismatch type of an L2."""
    found = _LABEL.search(answer)
    if found is None:
        return Answer(None, None, reasoning)
    label = f"L{found.group(1)}"
    kind = _MISMATCH.search(answer) if label == "L2" else None
    return Answer(label, kind.group(1) if kind else None, reasoning)


def _clean(reasoning: str) -> str:
    return reasoning.replace(THINK_START, "").strip()


@dataclass(frozen=True, slots=True)
class ParseCount:
    """How many answers were read and how many of them held a label."""

    total: int
    parsed: int

    @property
    def rate(self) -> float:
        """Parsed share, 1.0 for no answers at all."""
        return self.parsed / self.total if self.total else 1.0

    @classmethod
    def of(cls, answers: list[Answer]) -> "ParseCount":
        """Count a batch."""
        return cls(len(answers), sum(answer.parsed for answer in answers))
