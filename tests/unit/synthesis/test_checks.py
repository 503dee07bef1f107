"""What the checker refuses in a single trace."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lore_core.records import Label, Pair, TraceStep
from lore_core.rules import Condition, NearEffect, Rule
from lore_core.synthesis.answers import Unreadable, read_path, read_picture, read_steps
from lore_core.synthesis.checks import check_path, check_picture, check_trace
from lore_core.synthesis.consensus import outvoted
from lore_core.synthesis.reasons import Reason
from lore_core.synthesis.tasks import Demand

PAIR = Pair(
    id="p", query="navy kettle", title="kettle with lamp", item_id="i", groundtruth="L2", subset="general",
    cpv_sku={"colour": "sky blue with red"},
)  # fmt: skip
PATH = (Demand("kettle", "kind", "kettle"), Demand("navy", "colour", "navy"))
STRICT = Rule(id="r1", dimension="colour", summary="strict", condition=Condition(near=NearEffect.CONFLICT))
SIZE = Rule(id="r2", dimension="size", summary="s")
KIND = TraceStep(dimension="kind", demand="kettle", evidence="kettle", verdict="match")
COLOUR = TraceStep(dimension="colour", demand="navy", evidence="sky blue", rule="r1", verdict="conflict")


def judged(*steps: TraceStep, label: Label = Label.L2, path: tuple[Demand, ...] = PATH) -> Reason | None:
    return check_trace(PAIR, path, "shows a star", (STRICT, SIZE), steps, label)


def colour(**change: str) -> TraceStep:
    return COLOUR.model_copy(update=change)


def test_a_trace_that_holds_is_taken() -> None:
    assert judged(KIND, COLOUR) is None


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ((), Reason.EMPTY),
        ((KIND,), Reason.DEMAND_LEFT_OUT),
        ((KIND, COLOUR, COLOUR), Reason.OFF_PATH),
        ((KIND, colour(demand="blue")), Reason.OFF_PATH),
        ((KIND, colour(evidence="blue sky")), Reason.EVIDENCE_NOT_FOUND),
        ((KIND, colour(evidence="kettle")), Reason.EVIDENCE_NOT_FOUND),
        ((KIND, colour(evidence="")), Reason.EVIDENCE_NOT_FOUND),
        ((KIND, colour(verdict="bad")), Reason.UNKNOWN_VERDICT),
        ((KIND, colour(verdict="other")), Reason.MISPLACED_OTHER),
        ((KIND, colour(rule="r9")), Reason.RULE_NOT_SHOWN),
        ((KIND, colour(rule="r2")), Reason.RULE_DOES_NOT_FIT),
        ((KIND, colour(verdict="near")), Reason.AGAINST_RULE),
        ((KIND, colour(rule="", verdict="near")), Reason.NOT_FROM_STEPS),
        ((KIND, colour(demand="navy, as the given answer says")), Reason.TELLS_ANSWER),
        ((KIND, colour(evidence="L2")), Reason.TELLS_ANSWER),
    ],
)
def test_what_is_wrong_is_named(steps: tuple[TraceStep, ...], reason: Reason) -> None:
    assert judged(*steps) is reason


def test_a_sound_trace_for_another_label_than_gold_is_refused() -> None:
    assert judged(KIND, colour(rule="", verdict="near"), label=Label.L3) is Reason.NOT_GOLD


def test_another_category_ends_a_trace() -> None:
    other = TraceStep(dimension="kind", demand="kettle", evidence="lamp", verdict="other")
    record = PAIR.model_copy(update={"groundtruth": Label.L1})
    assert check_trace(record, PATH, "", (), (other,), Label.L1) is None


def test_picture_words_are_evidence() -> None:
    bare = PAIR.model_copy(update={"cpv_sku": {}})
    assert check_trace(bare, PATH, "a navy kettle", (), (KIND, colour(evidence="navy", rule="")), Label.L2) is None


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ((), Reason.EMPTY),
        ((PATH[1],), Reason.DEMAND_LEFT_OUT),
        ((PATH[0], Demand("dark navy", "colour", "navy")), Reason.TERM_NOT_IN_QUERY),
        ((*PATH, Demand("navy", "colour", "blue")), Reason.OFF_PATH),
        ((PATH[0], Demand("navy", "colour", "L4")), Reason.TELLS_ANSWER),
    ],
)
def test_a_path_is_of_the_querys_words(path: tuple[Demand, ...], reason: Reason) -> None:
    assert check_path(path, PAIR.query) is reason


def test_a_good_path_and_picture_pass_and_a_picture_that_judges_does_not() -> None:
    assert check_path(PATH, PAIR.query) is None
    assert check_picture("a golden kettle") is None
    assert check_picture("an L4 match") is Reason.TELLS_ANSWER


def test_a_masked_wrong_step_is_outvoted_by_other_traces_of_the_item() -> None:
    items = {f"p{n}": (PAIR, (KIND, COLOUR)) for n in range(3)}
    odd = {"odd": (PAIR, (KIND, colour(evidence="red")))}
    assert outvoted(items | odd) == {"odd"}
    assert outvoted({"p0": items["p0"], **odd}) == set()


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (read_path, read_picture, read_steps):
        try:
            read(text)
        except Unreadable:
            continue
