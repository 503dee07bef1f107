from collections.abc import Sequence

import pytest

from lore_core.records import LABELS, Label, Verdict, aggregate, label_schema_digest
from lore_core.records import label as module


def test_grades_are_ordered_and_split_in_the_middle() -> None:
    assert [(label.grade, label.relevant) for label in LABELS] == [(1, False), (2, False), (3, True), (4, True)]


def test_the_schema_digest_names_these_definitions(monkeypatch: pytest.MonkeyPatch) -> None:
    before = label_schema_digest()
    monkeypatch.setattr(module, "LABEL_DEFINITIONS", {label: "something else" for label in LABELS})
    assert label_schema_digest() != before
    monkeypatch.undo()
    assert label_schema_digest() == before


@pytest.mark.parametrize(
    ("verdicts", "label"),
    [
        ([], Label.L4),
        ([Verdict.MATCH, Verdict.MATCH], Label.L4),
        ([Verdict.NEAR, Verdict.MATCH], Label.L3),
        ([Verdict.NEAR, Verdict.CONFLICT], Label.L2),
        ([Verdict.MATCH, Verdict.OTHER, Verdict.CONFLICT], Label.L1),
    ],
)
def test_the_worst_verdict_decides(verdicts: Sequence[Verdict], label: Label) -> None:
    assert aggregate(verdicts) is label
    assert aggregate(reversed(verdicts)) is label
