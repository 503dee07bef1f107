"""The label is read after the reasoning; what cannot be read is counted, never guessed."""

import pytest

from lore_core.prompts import ParseCount, parse_answer


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("<think>could be L1 or L2</think>L4", "L4"),
        ("<think>L1</think> [L2-Style Mismatch] not L3", "L2"),
        ("L3", "L3"),
        ("<L3>", "L3"),
        ("L1</think>L2</think>L3", "L3"),
        ("<think>it is L4", None),
        ("<think>it is L4</think>", None),
        ("L5 L45 XL4 l4", None),
        ("", None),
    ],
)
def test_the_label_after_the_reasoning_counts(text: str, label: str | None) -> None:
    assert parse_answer(text).label == label


@pytest.mark.parametrize(
    ("text", "mismatch"),
    [
        ("[L2-Style Mismatch]", "Style Mismatch"),
        ("[L2 - brand]", "brand"),
        ("L2", None),
        ("L3 [L2-Style]", None),
        ("【L2－颜色不符】", "颜色不符"),
    ],
)
def test_the_kind_of_mismatch_belongs_to_l2(text: str, mismatch: str | None) -> None:
    assert parse_answer(text).mismatch == mismatch


def test_unparsable_answers_are_counted() -> None:
    count = ParseCount.of([parse_answer("L4"), parse_answer("none"), parse_answer("<think>L1"), parse_answer("L2")])
    assert (count.total, count.parsed, count.rate) == (4, 2, 0.5)


def test_the_reasoning_is_kept_without_its_tags() -> None:
    assert parse_answer("<think> colour red red same </think>L4").reasoning == "colour red red same"
